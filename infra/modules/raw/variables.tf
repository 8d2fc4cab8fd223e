variable "name" {
  description = "The environment's name."
  type        = string
}

variable "place" {
  description = "Where this is: account, partition and region."
  type        = object({ account = string, partition = string, region = string })
}

variable "stream" {
  description = "The stream to consume."
  type        = object({ name = string, arn = string })
}

variable "lake" {
  description = "The lake to write: bucket, its ARN, prefix, URI, Glue database."
  type        = object({ bucket = string, arn = string, prefix = string, uri = string, database = string })
}

variable "customer_key" {
  description = "Encrypt with key_arn, which the lake and the stream then use too."
  type        = bool
  default     = false
}

variable "key_arn" {
  description = "The customer-managed key, where customer_key is true."
  type        = string
  default     = null
}

variable "stream_key_arn" {
  description = "The customer-managed key of an existing stream, if it has one."
  type        = string
  default     = null
}

variable "buffer_mb" {
  description = "An object is written at so many MB, or after buffer_seconds."
  type        = number
  default     = 64
  validation {
    condition     = var.buffer_mb >= 1 && var.buffer_mb <= 128
    error_message = "Firehose gathers 1 to 128 MB."
  }
}

variable "buffer_seconds" {
  description = "An object is written after so many seconds, or at buffer_mb."
  type        = number
  default     = 300
  validation {
    condition     = var.buffer_seconds >= 60 && var.buffer_seconds <= 900
    error_message = "Firehose gathers for 60 to 900 seconds."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30
  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, ... days."
  }
}
