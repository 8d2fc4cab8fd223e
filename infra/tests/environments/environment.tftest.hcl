# Every environment against a mock of AWS: terraform test -test-directory=tests/environments -var-file=environments/X.tfvars
mock_provider "aws" {
  source = "./tests/mocks"
}

run "plan" {
  command = plan

  assert {
    condition     = !contains(["prod", "huge", "small"], var.environment) || var.deletion_protection
    error_message = "what is meant to last is protected"
  }
  assert {
    condition     = var.environment != "prod" || (var.retention_hours >= 168 && var.network == "private" && var.customer_key)
    error_message = "prod has a week of stream, no way out to the internet and a key of its own"
  }
}

# Without the guards, which would refuse the test's own tearing down.
run "apply" {
  command = apply
  variables {
    deletion_protection = false
  }

  assert {
    condition     = output.stream.name == "inlet-${var.environment}" && output.lake.uri == "s3://${output.lake.bucket}/lake"
    error_message = "an environment has a stream and a lake of its name"
  }
  assert {
    condition     = var.consumer == "none" || (output.environment["INLET_LAKE"] == output.lake.uri && output.environment["INLET_CATALOG"] == "glue://${output.lake.database}")
    error_message = "the program is told where lake and catalog are"
  }
  assert {
    condition     = length(regexall("^[a-z0-9-]{3,63}$", output.lake.bucket)) == 1
    error_message = "the bucket's name is one that S3 takes"
  }
}
