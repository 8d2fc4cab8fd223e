# One customer-managed key for the whole environment: a dollar a month rather than one per resource.
resource "aws_kms_key" "this" {
  count                   = var.customer_key ? 1 : 0
  description             = "${local.name}: stream, lake, leases, logs, image, alarms"
  enable_key_rotation     = true
  deletion_window_in_days = var.deletion_protection ? 30 : 7
  # In a key's own policy "*" means this key: AWS knows no other resource there.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Without it the key can be managed by nobody, ever; who may use it is said by IAM policies.
        Sid       = "Account"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "Logs"
        Effect    = "Allow"
        Principal = { Service = "logs.${local.region}.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
        Resource  = "*"
        Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = [for g in ["/inlet/${local.name}/*", "/aws/lambda/${local.name}"] : "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:${g}"] } }
      },
      {
        # Alarms and the budget publish to the encrypted topic.
        Sid       = "Alarms"
        Effect    = "Allow"
        Principal = { Service = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"] }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
    ]
  })
}

resource "aws_kms_alias" "this" {
  count         = var.customer_key ? 1 : 0
  name          = "alias/${local.name}"
  target_key_id = aws_kms_key.this[0].key_id
}
