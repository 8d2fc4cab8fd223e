# Every setting of an environment. A file in environments/ gives those that differ from these defaults.

variable "project" {
  description = "What everything is named after and tagged with."
  type        = string
  default     = "inlet"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}[a-z0-9]$", var.project)) && !strcontains(var.project, "--")
    error_message = "project is 3 to 16 of a-z, 0-9 and single '-', beginning with a letter: it becomes part of names of buckets, roles and queues, which AWS limits."
  }
}

variable "environment" {
  description = "The environment's name, as its file in environments/."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.environment))
    error_message = "environment is 2 to 12 of a-z and 0-9, beginning with a letter."
  }
}

variable "region" {
  description = "The AWS region; null: that of the caller's AWS settings."
  type        = string
  default     = null
  validation {
    condition     = var.region == null || can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region is no AWS region's name."
  }
}

variable "account_id" {
  description = "Refuse to touch any other account."
  type        = string
  default     = null
  validation {
    condition     = var.account_id == null || can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id has 12 digits."
  }
}

variable "local" {
  description = "A stand-in on this machine instead of AWS: path-style S3 and few retries, nothing else."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Further tags for everything."
  type        = map(string)
  default     = {}
  validation {
    condition     = alltrue([for k in keys(var.tags) : !startswith(k, "aws:") && length(k) <= 128])
    error_message = "Tag keys have at most 128 characters and do not begin with aws:."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete stream, lake, leases and images; key and versions are kept longer."
  type        = bool
  default     = false
}

variable "customer_key" {
  description = "Encrypt with a customer-managed KMS key of the environment's own (a monthly price); false: with AWS's keys."
  type        = bool
  default     = false
}

# The stream

variable "existing_stream_arn" {
  description = "A stream to consume instead of making one; nothing about it is changed."
  type        = string
  default     = null
  validation {
    condition     = var.existing_stream_arn == null || can(regex("^arn:[a-z-]+:kinesis:[a-z0-9-]+:[0-9]{12}:stream/[a-zA-Z0-9_.-]{1,128}$", var.existing_stream_arn))
    error_message = "existing_stream_arn is no stream's ARN (arn:aws:kinesis:REGION:ACCOUNT:stream/NAME)."
  }
}

variable "existing_stream_key_arn" {
  description = "The customer-managed key of that stream, if it has one."
  type        = string
  default     = null
  validation {
    condition     = var.existing_stream_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.existing_stream_key_arn))
    error_message = "existing_stream_key_arn is no key's ARN."
  }
}

variable "stream_mode" {
  description = "ON_DEMAND (AWS sizes it) or PROVISIONED (cheaper where the rate is known)."
  type        = string
  default     = "ON_DEMAND"
  validation {
    condition     = contains(["ON_DEMAND", "PROVISIONED"], var.stream_mode)
    error_message = "stream_mode is ON_DEMAND or PROVISIONED."
  }
}

variable "shards" {
  description = "Shards of a PROVISIONED stream: each takes 1 MB or 1,000 records a second."
  type        = number
  default     = 1
  validation {
    condition     = var.shards >= 1 && var.shards <= 10000 && floor(var.shards) == var.shards
    error_message = "shards is a whole number from 1 to 10000."
  }
}

variable "retention_hours" {
  description = "How long the stream keeps records: the time there is to mend a consumer."
  type        = number
  default     = 24
  validation {
    condition     = var.retention_hours >= 24 && var.retention_hours <= 8760
    error_message = "Kinesis keeps records from 24 to 8760 hours."
  }
}

# The lake

variable "existing_bucket" {
  description = "A bucket to use instead of making one; nothing about it is changed."
  type        = string
  default     = null
  validation {
    condition     = var.existing_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.existing_bucket))
    error_message = "existing_bucket is no bucket's name: 3 to 63 of a-z, 0-9, '.' and '-'."
  }
}

variable "lake_prefix" {
  description = "The lake's folder in the bucket."
  type        = string
  default     = "lake"
  validation {
    condition     = can(regex("^[a-zA-Z0-9_=-]+(/[a-zA-Z0-9_=-]+)*$", var.lake_prefix)) && !contains(["raw", "raw-errors", "athena-results"], var.lake_prefix)
    error_message = "lake_prefix has no slash at either end, only letters, digits, '_', '-', '=' and '/', and is not raw, raw-errors or athena-results."
  }
}

variable "database" {
  description = "The Glue database; null: PROJECT_ENVIRONMENT."
  type        = string
  default     = null
  validation {
    condition     = var.database == null || can(regex("^[a-z0-9_]{1,255}$", var.database))
    error_message = "A Glue database that Athena can read has 1 to 255 of a-z, 0-9 and '_'."
  }
}

variable "old_version_days" {
  description = "How long overwritten and deleted objects of the lake can be had back."
  type        = number
  default     = 30
  validation {
    condition     = var.old_version_days >= 1 && var.old_version_days <= 3650
    error_message = "old_version_days is 1 to 3650."
  }
}

variable "athena_scan_limit_gb" {
  description = "A query that reads more is ended."
  type        = number
  default     = 100
  validation {
    condition     = var.athena_scan_limit_gb >= 1
    error_message = "athena_scan_limit_gb is 1 or more."
  }
}

variable "query_tables" {
  description = "Event types for which queries are saved in Athena."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for t in var.query_tables : can(regex("^[a-z0-9_]{1,100}$", t))])
    error_message = "query_tables are names of tables: a-z, 0-9 and '_'."
  }
}

# What reads the stream

variable "consumer" {
  description = "worker (ECS Fargate), lambda (small volumes) or none."
  type        = string
  default     = "worker"
  validation {
    condition     = contains(["worker", "lambda", "none"], var.consumer)
    error_message = "consumer is worker, lambda or none."
  }
}

variable "raw" {
  description = "Also, or only, copy the stream's bytes with Firehose: no fields, no transformation."
  type        = bool
  default     = false
}

variable "settings" {
  description = "Further settings of the program, by environment variable: inlet run --help."
  type        = map(string)
  default     = {}
  validation {
    condition     = alltrue([for k in keys(var.settings) : can(regex("^INLET_[A-Z0-9_]+$", k))])
    error_message = "settings are environment variables of the program: INLET_..."
  }
}

variable "worker_cpu" {
  description = "CPU units of a task; 1024 is one vCPU."
  type        = number
  default     = 256
  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.worker_cpu)
    error_message = "Fargate has tasks of 256, 512, 1024, 2048, 4096, 8192 and 16384 CPU units."
  }
}

variable "worker_memory" {
  description = "MiB of a task."
  type        = number
  default     = 512
  validation {
    condition     = var.worker_memory == 512 || (var.worker_memory >= 1024 && var.worker_memory % 1024 == 0)
    error_message = "worker_memory is 512 or a multiple of 1024."
  }
}

variable "architecture" {
  description = "Of the worker: arm64, or amd64 where a region has no Fargate on Arm."
  type        = string
  default     = "arm64"
  validation {
    condition     = contains(["arm64", "amd64"], var.architecture)
    error_message = "architecture is arm64 or amd64."
  }
}

variable "min_workers" {
  description = "Tasks that always run."
  type        = number
  default     = 1
  validation {
    condition     = var.min_workers >= 0 && floor(var.min_workers) == var.min_workers
    error_message = "min_workers is a whole number, 0 or more."
  }
}

variable "max_workers" {
  description = "Tasks at most, when the stream lags; as many as min_workers: no autoscaling."
  type        = number
  default     = 1
  validation {
    condition     = var.max_workers >= 1 && var.max_workers <= 500
    error_message = "max_workers is 1 to 500."
  }
}

variable "spot" {
  description = "Run the tasks on Fargate Spot."
  type        = bool
  default     = false
}

variable "network" {
  description = "public: a way out, nothing may come in; private: no way out, interface endpoints instead (priced by the hour and zone)."
  type        = string
  default     = "public"
  validation {
    condition     = contains(["public", "private"], var.network)
    error_message = "network is public or private."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the worker's own network."
  type        = string
  default     = "10.42.0.0/24"
  validation {
    condition     = can(cidrhost(var.vpc_cidr, 1))
    error_message = "vpc_cidr is no IPv4 block."
  }
}

variable "zones" {
  description = "Availability zones to run in."
  type        = number
  default     = 2
  validation {
    condition     = var.zones >= 1 && var.zones <= 6
    error_message = "zones is 1 to 6."
  }
}

variable "image_tag" {
  description = "The image's tag; `make deploy` sets it."
  type        = string
  default     = "latest"
}

variable "scale_lag_seconds" {
  description = "A task is added while the reader is further behind than this."
  type        = number
  default     = 300
  validation {
    condition     = var.scale_lag_seconds >= 60
    error_message = "scale_lag_seconds is 60 or more."
  }
}

variable "container_insights" {
  description = "ECS Container Insights: metrics of each task, at a price."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30
  validation {
    condition     = var.log_retention_days >= 1
    error_message = "log_retention_days is 1 or more."
  }
}

variable "lambda_zip" {
  description = "The deployment package that `make lambda-arm64` writes."
  type        = string
  default     = "../build/lambda-arm64.zip"
}

variable "lambda_memory" {
  description = "MB of the function."
  type        = number
  default     = 512
  validation {
    condition     = var.lambda_memory >= 128 && var.lambda_memory <= 10240
    error_message = "Lambda has 128 to 10240 MB."
  }
}

variable "lambda_batch_window" {
  description = "Seconds to gather records before a call."
  type        = number
  default     = 300
  validation {
    condition     = var.lambda_batch_window >= 0 && var.lambda_batch_window <= 300
    error_message = "Lambda gathers for 0 to 300 seconds."
  }
}

# Being told

variable "alarm_email" {
  description = "Who is told of alarms; wants customer_key (CloudWatch cannot publish to a topic under AWS's own key)."
  type        = string
  default     = null
  validation {
    condition     = var.alarm_email == null || (can(regex("^[^@[:space:]]+@[^@[:space:]]+$", var.alarm_email)) && var.customer_key)
    error_message = "alarm_email is an address, and wants customer_key = true."
  }
}

variable "alarm_topic_arn" {
  description = "A topic of yours for alarms, instead of one made here."
  type        = string
  default     = null
  validation {
    condition     = var.alarm_topic_arn == null || can(regex("^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:", var.alarm_topic_arn))
    error_message = "alarm_topic_arn is no topic's ARN."
  }
}

variable "alarm_lag_seconds" {
  description = "Alarm: the reader is so far behind the stream."
  type        = number
  default     = 900
  validation {
    condition     = var.alarm_lag_seconds > 0
    error_message = "alarm_lag_seconds is above 0."
  }
}

variable "alarm_commit_age_seconds" {
  description = "Alarm: rows have waited so long for a commit."
  type        = number
  default     = 900
  validation {
    condition     = var.alarm_commit_age_seconds > 0
    error_message = "alarm_commit_age_seconds is above 0."
  }
}

variable "alarm_dead_letters" {
  description = "Alarm: more dead letters than this in an hour."
  type        = number
  default     = 1000
  validation {
    condition     = var.alarm_dead_letters >= 0
    error_message = "alarm_dead_letters is 0 or more."
  }
}

variable "alarm_restarts" {
  description = "Alarm: the program was started more often than this in an hour."
  type        = number
  default     = 4
  validation {
    condition     = var.alarm_restarts >= 0
    error_message = "alarm_restarts is 0 or more."
  }
}

variable "monthly_budget_usd" {
  description = "Alarm: the month's cost is forecast above this; 0: no budget."
  type        = number
  default     = 0
  validation {
    condition     = var.monthly_budget_usd >= 0
    error_message = "monthly_budget_usd is 0 or more."
  }
}
