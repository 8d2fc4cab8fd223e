mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name   = "inlet-test"
  place  = { account = "123456789012", partition = "aws", region = "eu-west-1" }
  stream = { name = "events", arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/events" }
  lake   = { bucket = "b", arn = "arn:aws:s3:::b", prefix = "lake", uri = "s3://b/lake", database = "d" }
}

run "copies" {
  command = apply
  module {
    source = "./modules/raw"
  }
  assert {
    condition     = aws_kinesis_firehose_delivery_stream.this.extended_s3_configuration[0].compression_format == "GZIP" && startswith(aws_kinesis_firehose_delivery_stream.this.extended_s3_configuration[0].prefix, "raw/day=")
    error_message = "gzip, by day, beside the lake and not in it"
  }
  assert {
    condition     = aws_glue_catalog_table.this.storage_descriptor[0].columns[0].type == "string" && aws_glue_catalog_table.this.parameters["storage.location.template"] == "s3://b/raw/day=$${day}/"
    error_message = "one string column, days by projection"
  }
  assert {
    condition     = alltrue([for s in jsondecode(aws_iam_role_policy.this.policy).Statement : s.Sid != "Objects" || alltrue([for r in flatten([s.Resource]) : startswith(r, "arn:aws:s3:::b/raw")])])
    error_message = "it may write its own prefix alone"
  }
}

run "refused" {
  command = plan
  module {
    source = "./modules/raw"
  }
  variables {
    buffer_mb      = 200
    buffer_seconds = 1
  }
  expect_failures = [var.buffer_mb, var.buffer_seconds]
}
