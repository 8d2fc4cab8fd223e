# A dashboard and alarms. What Kinesis, Lambda and Firehose measure themselves is taken from them; the program's own
# metrics come as embedded-metric lines in its log (`--metrics emf`).
locals {
  own       = "inlet" # the namespace of the program's metrics
  made      = var.customer_key && var.alarm_topic_arn == null
  topic     = local.made ? aws_sns_topic.this[0].arn : var.alarm_topic_arn
  actions   = compact([local.topic])
  topic_arn = "arn:${var.place.partition}:sns:${var.place.region}:${var.place.account}:${var.name}-alarms"
  starts    = "${var.name}-starts"
  runs      = var.consumer != "none"
}

resource "aws_sns_topic" "this" {
  count             = local.made ? 1 : 0
  name              = "${var.name}-alarms"
  kms_master_key_id = var.key_arn
}

resource "aws_sns_topic_policy" "this" {
  count = local.made ? 1 : 0
  arn   = aws_sns_topic.this[0].arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Alarms"
        Effect    = "Allow"
        Principal = { Service = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"] }
        Action    = "sns:Publish"
        Resource  = local.topic_arn
        Condition = { StringEquals = { "aws:SourceAccount" = var.place.account } }
      },
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = local.topic_arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "this" {
  count     = local.made && var.alarm_email != null ? 1 : 0
  topic_arn = aws_sns_topic.this[0].arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

# Starts of the program, counted in its log: a task that dies and comes back says nothing else of it for free.
resource "aws_cloudwatch_log_metric_filter" "starts" {
  count          = var.consumer == "worker" ? 1 : 0
  name           = "${var.name}-starts"
  log_group_name = var.log_group
  pattern        = "\"http: /healthz\"" # said once by each start
  metric_transformation {
    namespace = local.own
    name      = local.starts
    value     = "1"
    unit      = "Count"
  }
}

locals {
  own_dims    = { Stream = var.stream.name }
  stream_dims = { StreamName = var.stream.name }
  # By name, under which docs/operations.md says what each means. less_than_one: the alarm is that there is none.
  all_alarms = {
    "iterator-age" = {
      show = local.runs, text = "The reader is behind the stream", namespace = "AWS/Kinesis", metric = "GetRecords.IteratorAgeMilliseconds",
      dims = local.stream_dims, statistic = "Maximum", period = 60, times = 5, above = var.lag_seconds * 1000, less_than_one = false
    }
    "commit-age" = {
      show = local.runs, text = "Rows wait for a commit", namespace = local.own, metric = "CommitAge",
      dims = local.own_dims, statistic = "Maximum", period = 60, times = 5, above = var.commit_age_seconds * 1000, less_than_one = false
    }
    "dead-letters" = {
      show = local.runs, text = "Many records are no events", namespace = local.own, metric = "DeadLetters",
      dims = local.own_dims, statistic = "Sum", period = 3600, times = 1, above = var.dead_letters, less_than_one = false
    }
    "restarts" = {
      show = local.worker, text = "The program starts again and again", namespace = local.own, metric = local.starts,
      dims = {}, statistic = "Sum", period = 3600, times = 1, above = var.restarts, less_than_one = false
    }
    "silence" = {
      show = local.worker, text = "Nothing reads the stream", namespace = "AWS/Kinesis", metric = "GetRecords.Success",
      dims = local.stream_dims, statistic = "SampleCount", period = 300, times = 3, above = 0, less_than_one = true
    }
    "errors" = {
      show = local.lambda, text = "The function fails, and its shard waits", namespace = "AWS/Lambda", metric = "Errors",
      dims = { FunctionName = var.name }, statistic = "Sum", period = 300, times = 3, above = 0, less_than_one = false
    }
    "raw-age" = {
      show = local.fire, text = "Firehose is behind", namespace = "AWS/Firehose", metric = "DeliveryToS3.DataFreshness",
      dims = { DeliveryStreamName = local.fire_name }, statistic = "Maximum", period = 300, times = 3, above = max(var.lag_seconds, 1800), less_than_one = false
    }
  }
  alarms = { for k, a in local.all_alarms : k => a if a.show }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${each.value.text}: docs/operations.md, \"${each.key}\""
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dims
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = each.value.times
  comparison_operator = each.value.less_than_one ? "LessThanThreshold" : "GreaterThanThreshold"
  threshold           = each.value.less_than_one ? 1 : each.value.above
  treat_missing_data  = each.value.less_than_one ? "breaching" : "notBreaching"
  alarm_actions       = local.actions
  ok_actions          = local.actions
}

# Cost. Budgets count what bears the tags; they must be activated as cost allocation tags once in the account.
resource "aws_budgets_budget" "this" {
  count        = var.monthly_budget_usd > 0 ? 1 : 0
  name         = var.name
  budget_type  = "COST"
  limit_amount = tostring(var.monthly_budget_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"
  cost_filter {
    name   = "TagKeyValue"
    values = [format("user:environment$%s", var.tags["environment"])]
  }
  dynamic "notification" {
    for_each = local.made || var.alarm_topic_arn != null || var.alarm_email != null ? [{ type = "FORECASTED", at = 100 }, { type = "ACTUAL", at = 80 }] : []
    content {
      notification_type          = notification.value.type
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value.at
      threshold_type             = "PERCENTAGE"
      subscriber_sns_topic_arns  = local.actions
      subscriber_email_addresses = local.made || var.alarm_topic_arn != null ? [] : [var.alarm_email]
    }
  }
}
