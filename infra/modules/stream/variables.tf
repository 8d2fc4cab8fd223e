variable "name" {
  description = "The environment's name; the stream bears it."
  type        = string
}

variable "place" {
  description = "Where this is: account, partition and region."
  type        = object({ account = string, partition = string, region = string })
}

variable "existing_stream_arn" {
  description = "A stream to consume instead of making one; nothing about it is changed."
  type        = string
  default     = null
  validation {
    condition     = var.existing_stream_arn == null || can(regex("^arn:[a-z-]+:kinesis:[a-z0-9-]+:[0-9]{12}:stream/[a-zA-Z0-9_.-]{1,128}$", var.existing_stream_arn))
    error_message = "existing_stream_arn is no stream's ARN (arn:aws:kinesis:REGION:ACCOUNT:stream/NAME)."
  }
}

variable "mode" {
  description = "ON_DEMAND (AWS sizes it) or PROVISIONED (cheaper where the rate is known)."
  type        = string
  default     = "ON_DEMAND"
  validation {
    condition     = contains(["ON_DEMAND", "PROVISIONED"], var.mode)
    error_message = "The stream's mode is ON_DEMAND or PROVISIONED."
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
  description = "How long records are kept: the time there is to mend a consumer."
  type        = number
  default     = 24
  validation {
    condition     = var.retention_hours >= 24 && var.retention_hours <= 8760
    error_message = "Kinesis keeps records from 24 to 8760 hours."
  }
}

variable "customer_key" {
  description = "Encrypt with key_arn; false: with the key that AWS manages for Kinesis (still encrypted, no monthly price)."
  type        = bool
  default     = false
}

variable "key_arn" {
  description = "The customer-managed key, where customer_key is true."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Refuse a plan that deletes or replaces the stream, and keep registered consumers."
  type        = bool
  default     = false
}
