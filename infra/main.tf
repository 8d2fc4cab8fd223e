data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}
data "aws_availability_zones" "this" {
  state = "available"
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  name      = "${var.project}-${var.environment}"
  tags      = merge({ project = var.project, environment = var.environment, managed-by = "terraform" }, var.tags)
  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition
  region    = data.aws_region.this.name
  place     = { account = local.account, partition = local.partition, region = local.region }
  key_arn   = var.customer_key ? aws_kms_key.this[0].arn : null
}

module "stream" {
  source              = "./modules/stream"
  name                = local.name
  place               = local.place
  existing_stream_arn = var.existing_stream_arn
  mode                = var.stream_mode
  shards              = var.shards
  retention_hours     = var.retention_hours
  customer_key        = var.customer_key
  key_arn             = local.key_arn
  deletion_protection = var.deletion_protection
}

module "lake" {
  source              = "./modules/lake"
  name                = local.name
  place               = local.place
  existing_bucket     = var.existing_bucket
  prefix              = var.lake_prefix
  database            = var.database
  customer_key        = var.customer_key
  key_arn             = local.key_arn
  old_version_days    = var.old_version_days
  scan_limit_gb       = var.athena_scan_limit_gb
  query_tables        = var.query_tables
  deletion_protection = var.deletion_protection
}

module "worker" {
  source              = "./modules/worker"
  count               = var.consumer == "worker" ? 1 : 0
  name                = local.name
  place               = local.place
  stream              = module.stream.stream
  lake                = module.lake.lake
  customer_key        = var.customer_key
  key_arn             = local.key_arn
  stream_key_arn      = var.existing_stream_key_arn
  cpu                 = var.worker_cpu
  memory              = var.worker_memory
  architecture        = var.architecture
  min_workers         = var.min_workers
  max_workers         = var.max_workers
  spot                = var.spot
  network             = var.network
  vpc_cidr            = var.vpc_cidr
  zones               = slice(data.aws_availability_zones.this.names, 0, min(var.zones, length(data.aws_availability_zones.this.names)))
  image_tag           = var.image_tag
  settings            = var.settings
  scale_lag_seconds   = var.scale_lag_seconds
  container_insights  = var.container_insights
  log_retention_days  = var.log_retention_days
  deletion_protection = var.deletion_protection
}

module "lambda" {
  source             = "./modules/lambda"
  count              = var.consumer == "lambda" ? 1 : 0
  name               = local.name
  place              = local.place
  stream             = module.stream.stream
  lake               = module.lake.lake
  customer_key       = var.customer_key
  key_arn            = local.key_arn
  stream_key_arn     = var.existing_stream_key_arn
  zip                = var.lambda_zip
  memory             = var.lambda_memory
  batch_window       = var.lambda_batch_window
  settings           = var.settings
  log_retention_days = var.log_retention_days
}

module "raw" {
  source             = "./modules/raw"
  count              = var.raw ? 1 : 0
  name               = local.name
  place              = local.place
  stream             = module.stream.stream
  lake               = module.lake.lake
  customer_key       = var.customer_key
  key_arn            = local.key_arn
  stream_key_arn     = var.existing_stream_key_arn
  log_retention_days = var.log_retention_days
}

module "observability" {
  source             = "./modules/observability"
  name               = local.name
  place              = local.place
  tags               = local.tags
  stream             = module.stream.stream
  consumer           = var.consumer
  log_group          = one(concat(module.worker[*].log_group, module.lambda[*].log_group))
  delivery_stream    = one(module.raw[*].delivery_stream)
  customer_key       = var.customer_key
  key_arn            = local.key_arn
  alarm_email        = var.alarm_email
  alarm_topic_arn    = var.alarm_topic_arn
  lag_seconds        = var.alarm_lag_seconds
  commit_age_seconds = var.alarm_commit_age_seconds
  dead_letters       = var.alarm_dead_letters
  restarts           = var.alarm_restarts
  monthly_budget_usd = var.monthly_budget_usd
}
