# Autoscaling on lag, as Kinesis itself measures it: how old the records are that were read last.
locals {
  # So far beyond the alarm's threshold the fleet is doubled. Below a million: the provider writes larger bounds in
  # another form than it reads them, and every plan would show a change.
  far_ms = min(var.scale_lag_seconds * 4000, 900000)
  scaled = var.max_workers > var.min_workers
}

resource "aws_appautoscaling_target" "this" {
  count              = local.scaled ? 1 : 0
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.this.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.min_workers
  max_capacity       = var.max_workers
}

resource "aws_appautoscaling_policy" "out" {
  count              = local.scaled ? 1 : 0
  name               = "${var.name}-lag-out"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.this[0].service_namespace
  resource_id        = aws_appautoscaling_target.this[0].resource_id
  scalable_dimension = aws_appautoscaling_target.this[0].scalable_dimension
  step_scaling_policy_configuration {
    adjustment_type          = "PercentChangeInCapacity"
    metric_aggregation_type  = "Maximum"
    cooldown                 = 180
    min_adjustment_magnitude = 1
    step_adjustment {
      metric_interval_lower_bound = 0
      metric_interval_upper_bound = local.far_ms
      scaling_adjustment          = 25
    }
    step_adjustment {
      metric_interval_lower_bound = local.far_ms
      scaling_adjustment          = 100
    }
  }
}

resource "aws_appautoscaling_policy" "in" {
  count              = local.scaled ? 1 : 0
  name               = "${var.name}-lag-in"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.this[0].service_namespace
  resource_id        = aws_appautoscaling_target.this[0].resource_id
  scalable_dimension = aws_appautoscaling_target.this[0].scalable_dimension
  step_scaling_policy_configuration {
    adjustment_type         = "ChangeInCapacity"
    metric_aggregation_type = "Maximum"
    cooldown                = 900
    step_adjustment {
      metric_interval_upper_bound = 0
      scaling_adjustment          = -1
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "out" {
  count               = local.scaled ? 1 : 0
  alarm_name          = "${var.name}-scale-out"
  alarm_description   = "Adds workers: the reader is ${var.scale_lag_seconds} s behind"
  namespace           = "AWS/Kinesis"
  metric_name         = "GetRecords.IteratorAgeMilliseconds"
  dimensions          = { StreamName = var.stream.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.scale_lag_seconds * 1000
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.out[0].arn]
}

resource "aws_cloudwatch_metric_alarm" "in" {
  count               = local.scaled ? 1 : 0
  alarm_name          = "${var.name}-scale-in"
  alarm_description   = "Takes a worker away: half an hour without lag"
  namespace           = "AWS/Kinesis"
  metric_name         = "GetRecords.IteratorAgeMilliseconds"
  dimensions          = { StreamName = var.stream.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 6
  comparison_operator = "LessThanThreshold"
  threshold           = var.scale_lag_seconds * 1000 / 10
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.in[0].arn]
}
