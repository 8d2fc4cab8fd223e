# ARNs are put together rather than read from resources, so that policies are whole in the plan and can be checked there.
locals {
  arn        = "arn:${var.place.partition}"
  here       = "${var.place.region}:${var.place.account}"
  leases     = "${var.name}-leases"
  leases_arn = "${local.arn}:dynamodb:${local.here}:table/${local.leases}"
  repo_arn   = "${local.arn}:ecr:${local.here}:repository/${var.name}"
  log_group  = "/inlet/${var.name}/worker"
  log_arn    = "${local.arn}:logs:${local.here}:log-group:${local.log_group}"
  glue_arns = [
    "${local.arn}:glue:${local.here}:catalog",
    "${local.arn}:glue:${local.here}:database/${var.lake.database}",
    "${local.arn}:glue:${local.here}:table/${var.lake.database}/*",
  ]
  # What the program calls, and no more; the same list opens the network's endpoints.
  stream_actions = ["kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"]
  object_actions = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
  glue_actions   = ["glue:CreateTable", "glue:GetDatabase", "glue:GetTable", "glue:GetTables", "glue:UpdateTable"]
  lease_actions  = ["dynamodb:DeleteItem", "dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Scan", "dynamodb:UpdateItem"]
  keys           = compact([var.customer_key ? var.key_arn : null, var.stream_key_arn])
}
