variable "name" {
  description = "The environment's name."
  type        = string
}

variable "place" {
  description = "Where this is: account, partition and region."
  type        = object({ account = string, partition = string, region = string })
}

variable "existing_bucket" {
  description = "A bucket to use instead of making one; nothing about it is changed."
  type        = string
  default     = null
  validation {
    condition     = var.existing_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.existing_bucket))
    error_message = "existing_bucket is no bucket's name: 3 to 63 of a-z, 0-9, '.' and '-'."
  }
}

variable "prefix" {
  description = "The lake's folder in the bucket."
  type        = string
  default     = "lake"
  validation {
    condition     = can(regex("^[a-zA-Z0-9_=-]+(/[a-zA-Z0-9_=-]+)*$", var.prefix))
    error_message = "The lake's prefix has no slash at either end and only letters, digits, '_', '-', '=' and '/'."
  }
}

variable "database" {
  description = "The Glue database's name; null: the environment's, with '_' for '-'."
  type        = string
  default     = null
  validation {
    condition     = var.database == null || can(regex("^[a-z0-9_]{1,255}$", var.database))
    error_message = "A Glue database that Athena can read has 1 to 255 of a-z, 0-9 and '_'."
  }
}

variable "customer_key" {
  description = "Encrypt with key_arn; false: with S3's own keys."
  type        = bool
  default     = false
}

variable "key_arn" {
  description = "The customer-managed key, where customer_key is true."
  type        = string
  default     = null
}

variable "old_version_days" {
  description = "How long overwritten and deleted objects can be had back."
  type        = number
  default     = 30
  validation {
    condition     = var.old_version_days >= 1 && var.old_version_days <= 3650
    error_message = "old_version_days is 1 to 3650."
  }
}

variable "scan_limit_gb" {
  description = "A query of the Athena workgroup that reads more is ended."
  type        = number
  default     = 100
  validation {
    condition     = var.scan_limit_gb >= 1
    error_message = "scan_limit_gb is 1 or more."
  }
}

variable "query_tables" {
  description = "Event types for which queries are saved in the workgroup."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for t in var.query_tables : can(regex("^[a-z0-9_]{1,100}$", t))])
    error_message = "query_tables are names of tables: a-z, 0-9 and '_'."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete a bucket that holds anything, and a plan that deletes or replaces it."
  type        = bool
  default     = false
}
