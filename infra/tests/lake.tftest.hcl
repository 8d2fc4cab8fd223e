mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name  = "inlet-test"
  place = { account = "123456789012", partition = "aws", region = "eu-west-1" }
}

run "made" {
  command = plan
  module {
    source = "./modules/lake"
  }
  variables {
    query_tables = ["payment"]
  }
  assert {
    condition     = output.lake.bucket == "inlet-test-lake-123456789012-eu-west-1" && output.lake.database == "inlet_test"
    error_message = "bucket and database are named after the environment"
  }
  assert {
    condition     = tolist(aws_s3_bucket_server_side_encryption_configuration.this[0].rule)[0].apply_server_side_encryption_by_default[0].sse_algorithm == "AES256"
    error_message = "without a key of ours, S3's encrypts"
  }
  assert {
    condition     = aws_athena_workgroup.this.configuration[0].bytes_scanned_cutoff_per_query == 100 * 1024 * 1024 * 1024 && aws_athena_workgroup.this.configuration[0].enforce_workgroup_configuration
    error_message = "queries have a scan limit that a client cannot lift"
  }
  assert {
    condition     = length(aws_athena_named_query.this) == 4
    error_message = "one query over dead letters and three for each table named"
  }
  assert {
    condition     = length(aws_s3_bucket_lifecycle_configuration.this[0].rule) == 3 && aws_s3_bucket_versioning.this[0].versioning_configuration[0].status == "Enabled"
    error_message = "versions are kept, and old ones, unfinished uploads and query results go"
  }
}

run "protected_and_keyed" {
  command = plan
  module {
    source = "./modules/lake"
  }
  variables {
    customer_key        = true
    key_arn             = "arn:aws:kms:eu-west-1:123456789012:key/k"
    deletion_protection = true
  }
  assert {
    condition     = !aws_s3_bucket.this[0].force_destroy && !aws_athena_workgroup.this.force_destroy && length(terraform_data.guard) == 1
    error_message = "a bucket that holds something is not deleted"
  }
  assert {
    condition     = tolist(aws_s3_bucket_server_side_encryption_configuration.this[0].rule)[0].apply_server_side_encryption_by_default[0].kms_master_key_id == "arn:aws:kms:eu-west-1:123456789012:key/k"
    error_message = "the customer's key encrypts"
  }
}

run "existing" {
  command = plan
  module {
    source = "./modules/lake"
  }
  variables {
    existing_bucket = "their-bucket"
    prefix          = "a/b"
    database        = "theirs"
  }
  assert {
    condition = (length(aws_s3_bucket.this) + length(aws_s3_bucket_policy.this) + length(aws_s3_bucket_versioning.this)
    + length(aws_s3_bucket_lifecycle_configuration.this) + length(aws_s3_bucket_public_access_block.this)) == 0
    error_message = "nothing about an existing bucket is changed"
  }
  assert {
    condition     = output.lake.uri == "s3://their-bucket/a/b" && output.lake.arn == "arn:aws:s3:::their-bucket"
    error_message = "the lake is in their bucket"
  }
}

run "refused" {
  command = plan
  module {
    source = "./modules/lake"
  }
  variables {
    existing_bucket  = "Their_Bucket"
    prefix           = "lake/"
    database         = "has-dash"
    old_version_days = 0
    scan_limit_gb    = 0
    query_tables     = ["a; drop"]
  }
  expect_failures = [var.existing_bucket, var.prefix, var.database, var.old_version_days, var.scan_limit_gb, var.query_tables]
}
