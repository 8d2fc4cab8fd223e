# The bucket: versioned, encrypted, closed to the public, TLS only.
locals {
  made     = var.existing_bucket == null
  bucket   = local.made ? "${var.name}-lake-${var.place.account}-${var.place.region}" : var.existing_bucket
  arn      = "arn:${var.place.partition}:s3:::${local.bucket}"
  database = coalesce(var.database, replace(var.name, "-", "_"))
  results  = "athena-results"
}

resource "aws_s3_bucket" "this" {
  count         = local.made ? 1 : 0
  bucket        = local.bucket
  force_destroy = !var.deletion_protection
}

resource "terraform_data" "guard" {
  count = local.made && var.deletion_protection ? 1 : 0
  lifecycle {
    prevent_destroy      = true
    replace_triggered_by = [aws_s3_bucket.this[0].id]
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  count                   = local.made ? 1 : 0
  bucket                  = aws_s3_bucket.this[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  count  = local.made ? 1 : 0
  bucket = aws_s3_bucket.this[0].id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "this" {
  count  = local.made ? 1 : 0
  bucket = aws_s3_bucket.this[0].id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  count  = local.made ? 1 : 0
  bucket = aws_s3_bucket.this[0].id
  rule {
    bucket_key_enabled = var.customer_key
    apply_server_side_encryption_by_default {
      sse_algorithm     = var.customer_key ? "aws:kms" : "AES256"
      kms_master_key_id = var.customer_key ? var.key_arn : null
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  count  = local.made ? 1 : 0
  bucket = aws_s3_bucket.this[0].id
  # A Deny: its wildcards take away, they give nothing.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [local.arn, "${local.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "Tls12"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [local.arn, "${local.arn}/*"]
        Condition = { NumericLessThan = { "s3:TlsVersion" = "1.2" } }
      },
    ]
  })
  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  count  = local.made ? 1 : 0
  bucket = aws_s3_bucket.this[0].id
  rule {
    id     = "unfinished-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }
  rule {
    id     = "old-versions"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = var.old_version_days
    }
    expiration {
      expired_object_delete_marker = true
    }
  }
  rule {
    id     = "athena-results"
    status = "Enabled"
    filter {
      prefix = "${local.results}/"
    }
    expiration {
      days = 7
    }
  }
  depends_on = [aws_s3_bucket_versioning.this]
}
