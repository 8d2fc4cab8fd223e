# "No fields, no transformation": Firehose alone copies the stream's bytes into the bucket, a line an event, gzip.
# What it gives up is in docs/operations.md: types, pruning by event, deduplication, exactly-once.
locals {
  arn       = "arn:${var.place.partition}"
  here      = "${var.place.region}:${var.place.account}"
  prefix    = "raw"
  log_group = "/inlet/${var.name}/raw"
  log_arn   = "${local.arn}:logs:${local.here}:log-group:${local.log_group}"
  keys      = compact([var.customer_key ? var.key_arn : null, var.stream_key_arn])
}

resource "aws_iam_role" "this" {
  name        = "${var.name}-raw-${var.place.region}"
  description = "Firehose: copies the stream into the bucket"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "firehose.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "sts:ExternalId" = var.place.account } }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "deliver"
  role = aws_iam_role.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Stream"
        Effect   = "Allow"
        Action   = ["kinesis:DescribeStream", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"]
        Resource = var.stream.arn
      },
      {
        Sid      = "Bucket"
        Effect   = "Allow"
        Action   = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]
        Resource = var.lake.arn
      },
      {
        Sid      = "Objects"
        Effect   = "Allow"
        Action   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
        Resource = ["${var.lake.arn}/${local.prefix}/*", "${var.lake.arn}/${local.prefix}-errors/*"]
      },
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = "logs:PutLogEvents"
        Resource = "${local.log_arn}:log-stream:*"
      },
    ]
  })
}

# Apart from the rest, since a key's ARN is known only after it is made.
resource "aws_iam_role_policy" "key" {
  count = var.customer_key || var.stream_key_arn != null ? 1 : 0
  name  = "key"
  role  = aws_iam_role.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "ThroughTheServices"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = local.keys
      Condition = { StringEquals = { "kms:ViaService" = [for s in ["kinesis", "s3"] : "${s}.${var.place.region}.amazonaws.com"] } }
    }]
  })
}

resource "aws_cloudwatch_log_group" "this" {
  name              = local.log_group
  retention_in_days = var.log_retention_days
  kms_key_id        = var.customer_key ? var.key_arn : null
}

resource "aws_cloudwatch_log_stream" "this" {
  name           = "delivery"
  log_group_name = aws_cloudwatch_log_group.this.name
}

resource "aws_kinesis_firehose_delivery_stream" "this" {
  name        = "${var.name}-raw"
  destination = "extended_s3"
  kinesis_source_configuration {
    kinesis_stream_arn = var.stream.arn
    role_arn           = aws_iam_role.this.arn
  }
  extended_s3_configuration {
    role_arn            = aws_iam_role.this.arn
    bucket_arn          = var.lake.arn
    prefix              = "${local.prefix}/day=!{timestamp:yyyy-MM-dd}/"
    error_output_prefix = "${local.prefix}-errors/!{firehose:error-output-type}/day=!{timestamp:yyyy-MM-dd}/"
    buffering_size      = var.buffer_mb
    buffering_interval  = var.buffer_seconds
    compression_format  = "GZIP"
    kms_key_arn         = var.customer_key ? var.key_arn : null
    cloudwatch_logging_options {
      enabled         = true
      log_group_name  = aws_cloudwatch_log_group.this.name
      log_stream_name = aws_cloudwatch_log_stream.this.name
    }
    processing_configuration {
      enabled = true
      processors {
        type = "AppendDelimiterToRecord"
        parameters {
          parameter_name  = "Delimiter"
          parameter_value = "\\n"
        }
      }
    }
  }
  depends_on = [aws_iam_role_policy.this, aws_iam_role_policy.key]
}

# One string column, the event as it came; json_extract does the rest at each query. Days by projection: no crawler.
resource "aws_glue_catalog_table" "this" {
  name          = "raw"
  database_name = var.lake.database
  description   = "The stream's events as they came, a line each"
  table_type    = "EXTERNAL_TABLE"
  parameters = {
    EXTERNAL                       = "TRUE"
    "projection.enabled"           = "true"
    "projection.day.type"          = "date"
    "projection.day.format"        = "yyyy-MM-dd"
    "projection.day.range"         = "2024-01-01,NOW"
    "storage.location.template"    = "s3://${var.lake.bucket}/${local.prefix}/day=$${day}/"
    "projection.day.interval"      = "1"
    "projection.day.interval.unit" = "DAYS"
  }
  partition_keys {
    name = "day"
    type = "string"
  }
  storage_descriptor {
    location      = "s3://${var.lake.bucket}/${local.prefix}/"
    input_format  = "org.apache.hadoop.mapred.TextInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
    columns {
      name = "event"
      type = "string"
    }
    ser_de_info {
      serialization_library = "org.apache.hadoop.hive.serde2.RegexSerDe"
      parameters            = { "input.regex" = "^(.*)$" }
    }
  }
}
