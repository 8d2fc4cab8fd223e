# The bucket in which every environment's state lies; S3 itself locks it (use_lockfile). tools/env.sh applies this
# once for an account and region. Its own state is a small local file that nothing needs again.
terraform {
  required_version = ">= 1.11.0"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "= 5.100.0"
    }
  }
}

variable "bucket" {
  description = "The state bucket's name."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "A bucket's name is 3 to 63 of a-z, 0-9 and '-'."
  }
}

variable "project" {
  description = "What it is tagged with."
  type        = string
  default     = "inlet"
}

variable "local" {
  description = "A stand-in on this machine instead of AWS."
  type        = bool
  default     = false
}

variable "adopt" {
  description = "The bucket is there, made by a run that did not end: take it over."
  type        = bool
  default     = false
}

import {
  for_each = toset(var.adopt ? [var.bucket] : [])
  to       = aws_s3_bucket.state
  id       = each.key
}

provider "aws" {
  s3_use_path_style = var.local
  max_retries       = var.local ? 2 : 25
  default_tags {
    tags = { project = var.project, environment = "shared", managed-by = "terraform" }
  }
}

data "aws_partition" "this" {}

locals {
  arn = "arn:${data.aws_partition.this.partition}:s3:::${var.bucket}" # known in the plan, so the policy can be checked there
}

# States are the map of everything that was made: deleted by hand, when the last environment is gone, or not at all.
resource "aws_s3_bucket" "state" {
  bucket        = var.bucket
  force_destroy = var.local
}

resource "aws_s3_bucket_ownership_controls" "state" {
  bucket = aws_s3_bucket.state.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "state" {
  bucket = aws_s3_bucket.state.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "state" {
  bucket = aws_s3_bucket.state.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "state" {
  bucket                  = aws_s3_bucket.state.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "state" {
  bucket = aws_s3_bucket.state.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [local.arn, "${local.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
  depends_on = [aws_s3_bucket_public_access_block.state]
}
