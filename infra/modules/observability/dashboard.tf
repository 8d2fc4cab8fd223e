locals {
  worker    = var.consumer == "worker"
  lambda    = var.consumer == "lambda"
  fire      = var.delivery_stream != null
  fire_name = coalesce(var.delivery_stream, "none")

  # Metrics: [namespace, name, dimension, value, ..., {options}].
  all_graphs = [
    { show = true, title = "How far behind the stream (ms)", metrics = [["AWS/Kinesis", "GetRecords.IteratorAgeMilliseconds", "StreamName", var.stream.name, { stat = "Maximum" }]] },
    { show = true, title = "Into the stream (bytes; right: records)", metrics = [
      ["AWS/Kinesis", "IncomingBytes", "StreamName", var.stream.name, { stat = "Sum" }],
      ["AWS/Kinesis", "IncomingRecords", "StreamName", var.stream.name, { stat = "Sum", yAxis = "right" }],
    ] },
    { show = true, title = "Throttled (puts, gets)", metrics = [for m in ["WriteProvisionedThroughputExceeded", "ReadProvisionedThroughputExceeded"] : ["AWS/Kinesis", m, "StreamName", var.stream.name, { stat = "Sum" }]] },
    { show = local.runs, title = "Rows committed", metrics = [[local.own, "Rows", "Stream", var.stream.name, { stat = "Sum" }]] },
    { show = local.runs, title = "Oldest uncommitted row (ms)", metrics = [[local.own, "CommitAge", "Stream", var.stream.name, { stat = "Maximum" }]] },
    { show = local.runs, title = "Duplicates, rescued, dead letters", metrics = [for m in ["Duplicates", "Rescued", "DeadLetters"] : [local.own, m, "Stream", var.stream.name, { stat = "Sum" }]] },
    { show = local.worker, title = "CPU and memory of the tasks (%)", metrics = [for m in ["CPUUtilization", "MemoryUtilization"] : ["AWS/ECS", m, "ClusterName", var.name, "ServiceName", "inlet", { stat = "Maximum" }]] },
    { show = local.worker, title = "Starts of the program", metrics = [[local.own, local.starts, { stat = "Sum" }]] },
    { show = local.lambda, title = "Calls and errors", metrics = [for m in ["Invocations", "Errors"] : ["AWS/Lambda", m, "FunctionName", var.name, { stat = "Sum" }]] },
    { show = local.lambda, title = "Duration of a call (ms)", metrics = [["AWS/Lambda", "Duration", "FunctionName", var.name, { stat = "p99" }]] },
    { show = local.fire, title = "Firehose: age (s)", metrics = [["AWS/Firehose", "DeliveryToS3.DataFreshness", "DeliveryStreamName", local.fire_name, { stat = "Maximum" }]] },
  ]
  graphs = [for g in local.all_graphs : g if g.show]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [for i, g in local.graphs : {
      type       = "metric"
      x          = (i % 3) * 8
      y          = floor(i / 3) * 6
      width      = 8
      height     = 6
      properties = { title = g.title, region = var.place.region, period = 60, view = "timeSeries", metrics = g.metrics }
    }]
  })
}
