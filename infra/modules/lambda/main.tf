# The small-volume form: the same binary on the stream's event source. No network, no tasks, no leases: the
# event source reads the shards, and the tables' own positions keep it exact.
locals {
  arn       = "arn:${var.place.partition}"
  here      = "${var.place.region}:${var.place.account}"
  log_group = "/aws/lambda/${var.name}"
  log_arn   = "${local.arn}:logs:${local.here}:log-group:${local.log_group}"
  keys      = compact([var.customer_key ? var.key_arn : null, var.stream_key_arn])
  environment = merge({
    INLET_LAKE       = var.lake.uri
    INLET_CATALOG    = "glue://${var.lake.database}"
    INLET_MEMORY     = "${floor(var.memory / 2)}MB"
    INLET_METRICS    = "emf"
    INLET_LOG_FORMAT = "logfmt"
  }, var.settings)
}

resource "aws_iam_role" "this" {
  name        = "${var.name}-lambda-${var.place.region}"
  description = "inlet as a Lambda function: reads the stream, writes the lake"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "run" {
  name = "run"
  role = aws_iam_role.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # The event source reads with the function's role; DescribeStream is its own call.
        Sid      = "Stream"
        Effect   = "Allow"
        Action   = ["kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"]
        Resource = var.stream.arn
      },
      {
        Sid      = "Lake"
        Effect   = "Allow"
        Action   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
        Resource = "${var.lake.arn}/${var.lake.prefix}/*"
      },
      {
        # Also what makes S3 answer 404 rather than 403 for an object that is not there; that request bears no
        # prefix, hence IfExists.
        Sid       = "List"
        Effect    = "Allow"
        Action    = "s3:ListBucket"
        Resource  = var.lake.arn
        Condition = { StringLikeIfExists = { "s3:prefix" = ["${var.lake.prefix}/*"] } }
      },
      {
        Sid    = "Catalog"
        Effect = "Allow"
        Action = ["glue:CreateTable", "glue:GetDatabase", "glue:GetTable", "glue:GetTables", "glue:UpdateTable"]
        Resource = [
          "${local.arn}:glue:${local.here}:catalog",
          "${local.arn}:glue:${local.here}:database/${var.lake.database}",
          "${local.arn}:glue:${local.here}:table/${var.lake.database}/*",
        ]
      },
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
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
      Condition = { StringEquals = { "kms:ViaService" = [for s in ["kinesis", "lambda", "s3"] : "${s}.${var.place.region}.amazonaws.com"] } }
    }]
  })
}

resource "aws_cloudwatch_log_group" "this" {
  name              = local.log_group
  retention_in_days = var.log_retention_days
  kms_key_id        = var.customer_key ? var.key_arn : null
}

resource "aws_lambda_function" "this" {
  function_name    = var.name
  description      = "inlet: ${var.stream.name} into ${var.lake.uri}"
  role             = aws_iam_role.this.arn
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = ["arm64"]
  filename         = var.zip
  source_code_hash = fileexists(var.zip) ? filebase64sha256(var.zip) : null
  memory_size      = var.memory
  timeout          = 300
  kms_key_arn      = var.customer_key ? var.key_arn : null
  environment {
    variables = local.environment
  }
  depends_on = [aws_iam_role_policy.run, aws_iam_role_policy.key, aws_cloudwatch_log_group.this]
}

# Positions need a shard's records in order and none left out: one batch of a shard at a time, tried until it is
# done, never given up for its age.
resource "aws_lambda_event_source_mapping" "this" {
  event_source_arn                   = var.stream.arn
  function_name                      = aws_lambda_function.this.arn
  starting_position                  = "TRIM_HORIZON"
  batch_size                         = 10000
  maximum_batching_window_in_seconds = var.batch_window
  parallelization_factor             = 1
  maximum_retry_attempts             = -1
  maximum_record_age_in_seconds      = -1
  bisect_batch_on_function_error     = false
  function_response_types            = ["ReportBatchItemFailures"]
}
