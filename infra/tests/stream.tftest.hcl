mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name  = "inlet-test"
  place = { account = "123456789012", partition = "aws", region = "eu-west-1" }
}

run "on_demand" {
  command = plan
  module {
    source = "./modules/stream"
  }
  assert {
    condition     = aws_kinesis_stream.this[0].stream_mode_details[0].stream_mode == "ON_DEMAND" && aws_kinesis_stream.this[0].shard_count == null
    error_message = "on demand has no number of shards"
  }
  assert {
    condition     = aws_kinesis_stream.this[0].encryption_type == "KMS" && aws_kinesis_stream.this[0].kms_key_id == "alias/aws/kinesis"
    error_message = "without a key of ours, AWS's encrypts"
  }
  assert {
    condition     = length(terraform_data.guard) == 0 && output.stream.arn == "arn:aws:kinesis:eu-west-1:123456789012:stream/inlet-test"
    error_message = "no guard unless asked; the ARN is known before the stream is"
  }
}

run "provisioned_and_protected" {
  command = plan
  module {
    source = "./modules/stream"
  }
  variables {
    mode                = "PROVISIONED"
    shards              = 8
    retention_hours     = 168
    customer_key        = true
    key_arn             = "arn:aws:kms:eu-west-1:123456789012:key/k"
    deletion_protection = true
  }
  assert {
    condition     = aws_kinesis_stream.this[0].shard_count == 8 && aws_kinesis_stream.this[0].retention_period == 168
    error_message = "shards and retention are those given"
  }
  assert {
    condition     = aws_kinesis_stream.this[0].kms_key_id == "arn:aws:kms:eu-west-1:123456789012:key/k"
    error_message = "the customer's key encrypts"
  }
  assert {
    condition     = length(terraform_data.guard) == 1 && aws_kinesis_stream.this[0].enforce_consumer_deletion == false
    error_message = "protection has a guard and keeps registered consumers"
  }
}

run "existing" {
  command = plan
  module {
    source = "./modules/stream"
  }
  variables {
    existing_stream_arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/theirs"
    deletion_protection = true
  }
  assert {
    condition     = length(aws_kinesis_stream.this) == 0 && length(terraform_data.guard) == 0 && output.stream.name == "theirs"
    error_message = "an existing stream is used, and nothing about it is ours"
  }
}

run "refused" {
  command = plan
  module {
    source = "./modules/stream"
  }
  variables {
    existing_stream_arn = "theirs"
    mode                = "FREE"
    shards              = 0.5
    retention_hours     = 12
  }
  expect_failures = [var.existing_stream_arn, var.mode, var.shards, var.retention_hours]
}
