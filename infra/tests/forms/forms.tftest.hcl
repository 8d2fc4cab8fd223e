# The other forms of an environment, against a mock of AWS: terraform test -test-directory=tests/forms -var-file=environments/dev.tfvars
mock_provider "aws" {
  source = "./tests/mocks"
}

run "as_a_function" {
  command = apply
  variables {
    deletion_protection = false
    consumer            = "lambda"
    lambda_zip          = "tests/mocks/aws.tfmock.hcl" # any file will do
    raw                 = true
  }
  assert {
    condition     = output.worker == null && output.function == "inlet-${var.environment}" && output.raw_table != null
    error_message = "consumer = lambda makes a function and no worker"
  }
}

run "nothing_of_its_own" {
  command = apply
  variables {
    deletion_protection = false
    consumer            = "none"
    existing_stream_arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/theirs"
    existing_bucket     = "their-bucket"
  }
  assert {
    condition     = output.stream.name == "theirs" && output.lake.uri == "s3://their-bucket/lake" && output.worker == null && output.function == null
    error_message = "an existing stream and bucket are used"
  }
}

run "names_that_aws_refuses" {
  command = plan
  variables {
    project     = "Inlet_"
    environment = "UPPER"
    region      = "moon"
    vpc_cidr    = "10.0.0.0/8x"
    lake_prefix = "/lake/"
    settings    = { inlet_memory = "1GB" }
    alarm_email = "nobody"
  }
  expect_failures = [var.project, var.environment, var.region, var.vpc_cidr, var.lake_prefix, var.settings, var.alarm_email]
}
