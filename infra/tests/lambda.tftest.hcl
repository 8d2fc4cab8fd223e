mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name   = "inlet-test"
  place  = { account = "123456789012", partition = "aws", region = "eu-west-1" }
  stream = { name = "events", arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/events" }
  lake   = { bucket = "b", arn = "arn:aws:s3:::b", prefix = "lake", uri = "s3://b/lake", database = "d" }
  zip    = "tests/mocks/aws.tfmock.hcl" # any file will do
}

run "exactly_once_needs_these" {
  command = apply
  module {
    source = "./modules/lambda"
  }
  assert {
    condition = (aws_lambda_event_source_mapping.this.parallelization_factor == 1 && aws_lambda_event_source_mapping.this.maximum_retry_attempts == -1
    && aws_lambda_event_source_mapping.this.maximum_record_age_in_seconds == -1 && aws_lambda_event_source_mapping.this.starting_position == "TRIM_HORIZON")
    error_message = "a shard's records come in order, all of them, for as long as it takes"
  }
  assert {
    condition     = aws_lambda_function.this.runtime == "provided.al2023" && aws_lambda_function.this.architectures == tolist(["arm64"])
    error_message = "the binary itself, on Arm"
  }
  assert {
    condition     = output.environment["INLET_CATALOG"] == "glue://d" && !contains(keys(output.environment), "INLET_LEASES")
    error_message = "the event source reads the shards; there are no leases"
  }
  assert {
    condition     = length(aws_iam_role_policy.key) == 0
    error_message = "no key, no leave to use one"
  }
}

run "keyed" {
  command = apply
  module {
    source = "./modules/lambda"
  }
  variables {
    customer_key = true
    key_arn      = "arn:aws:kms:eu-west-1:123456789012:key/k"
  }
  assert {
    condition     = aws_lambda_function.this.kms_key_arn == "arn:aws:kms:eu-west-1:123456789012:key/k" && length(aws_iam_role_policy.key) == 1
    error_message = "the customer's key encrypts the settings, and may be used"
  }
}

run "refused" {
  command = plan
  module {
    source = "./modules/lambda"
  }
  variables {
    memory       = 64
    batch_window = 301
    settings     = { AWS_REGION = "x" }
  }
  expect_failures = [var.memory, var.batch_window, var.settings]
}
