# The stream: on demand or provisioned, always encrypted.
locals {
  made = var.existing_stream_arn == null
  # Put together rather than read from the resource, so that policies are whole in the plan and can be checked there.
  arn  = local.made ? "arn:${var.place.partition}:kinesis:${var.place.region}:${var.place.account}:stream/${var.name}" : var.existing_stream_arn
  name = local.made ? var.name : element(split("/", var.existing_stream_arn), 1)
}

resource "aws_kinesis_stream" "this" {
  count                     = local.made ? 1 : 0
  name                      = var.name
  shard_count               = var.mode == "PROVISIONED" ? var.shards : null
  retention_period          = var.retention_hours
  encryption_type           = "KMS"
  kms_key_id                = var.customer_key ? var.key_arn : "alias/aws/kinesis"
  enforce_consumer_deletion = !var.deletion_protection
  stream_mode_details {
    stream_mode = var.mode
  }
}

# Kinesis has no deletion protection of its own. This costs nothing and does nothing, except that a plan
# which deletes or replaces the stream must delete it too, and then Terraform stops.
resource "terraform_data" "guard" {
  count = local.made && var.deletion_protection ? 1 : 0
  lifecycle {
    prevent_destroy      = true
    replace_triggered_by = [aws_kinesis_stream.this[0].id]
  }
}
