# One root for every environment: what differs between them is one file in environments/.
terraform {
  required_version = ">= 1.11.0" # state locking by S3 itself (use_lockfile)
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "= 5.100.0"
    }
  }
  # Bucket, key and region come from tools/env.sh, which makes the bucket by bootstrap/.
  backend "s3" {}
}

provider "aws" {
  region              = var.region
  max_retries         = var.local ? 2 : 25
  s3_use_path_style   = var.local
  allowed_account_ids = var.account_id == null ? null : [var.account_id]
  default_tags {
    tags = local.tags
  }
}
