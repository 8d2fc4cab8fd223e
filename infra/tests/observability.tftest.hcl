mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name     = "inlet-test"
  place    = { account = "123456789012", partition = "aws", region = "eu-west-1" }
  tags     = { environment = "test" }
  stream   = { name = "events", arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/events" }
  consumer = "worker"
}

run "worker" {
  command = apply
  module {
    source = "./modules/observability"
  }
  variables {
    log_group          = "/inlet/inlet-test/worker"
    customer_key       = true
    key_arn            = "arn:aws:kms:eu-west-1:123456789012:key/k"
    alarm_email        = "nobody@example.invalid"
    monthly_budget_usd = 10
    lag_seconds        = 60
  }
  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.this)) == toset(["commit-age", "dead-letters", "iterator-age", "restarts", "silence"])
    error_message = "the worker's alarms"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["iterator-age"].threshold == 60000 && length(aws_cloudwatch_metric_alarm.this["iterator-age"].alarm_actions) == 1
    error_message = "alarms go to the topic"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["silence"].comparison_operator == "LessThanThreshold" && aws_cloudwatch_metric_alarm.this["silence"].treat_missing_data == "breaching"
    error_message = "that nothing reads is an alarm though there is no figure"
  }
  assert {
    condition     = aws_sns_topic.this[0].kms_master_key_id == "arn:aws:kms:eu-west-1:123456789012:key/k" && length(aws_budgets_budget.this[0].notification) == 2
    error_message = "the topic is encrypted; cost is told at the forecast and at 80%"
  }
}

run "function_and_raw_without_a_topic" {
  command = apply
  module {
    source = "./modules/observability"
  }
  variables {
    consumer        = "lambda"
    log_group       = "/aws/lambda/inlet-test"
    delivery_stream = "inlet-test-raw"
  }
  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.this)) == toset(["commit-age", "dead-letters", "errors", "iterator-age", "raw-age"])
    error_message = "the function's and Firehose's alarms"
  }
  assert {
    condition     = length(aws_sns_topic.this) == 0 && length(aws_budgets_budget.this) == 0 && output.topic_arn == null
    error_message = "no key, no topic; no budget, no budget"
  }
}

run "nothing_of_ours" {
  command = apply
  module {
    source = "./modules/observability"
  }
  variables {
    consumer           = "none"
    alarm_topic_arn    = "arn:aws:sns:eu-west-1:123456789012:theirs"
    monthly_budget_usd = 10
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.this) == 0 && output.topic_arn == "arn:aws:sns:eu-west-1:123456789012:theirs"
    error_message = "their topic is used"
  }
}

run "refused" {
  command = plan
  module {
    source = "./modules/observability"
  }
  variables {
    consumer           = "flink"
    alarm_email        = "x"
    alarm_topic_arn    = "x"
    monthly_budget_usd = -1
  }
  expect_failures = [var.consumer, var.alarm_email, var.alarm_topic_arn, var.monthly_budget_usd]
}
