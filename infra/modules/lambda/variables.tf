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

variable "zip" {
  description = "The deployment package that `make lambda-arm64` writes."
  type        = string
  default     = "../build/lambda-arm64.zip"
}

variable "memory" {
  description = "MB of the function; Lambda gives CPU in proportion, one whole vCPU at 1,769."
  type        = number
  default     = 512
  validation {
    condition     = var.memory >= 128 && var.memory <= 10240
    error_message = "Lambda has 128 to 10240 MB."
  }
}

variable "batch_window" {
  description = "Seconds to gather records before a call: longer means fewer, larger files."
  type        = number
  default     = 300
  validation {
    condition     = var.batch_window >= 0 && var.batch_window <= 300
    error_message = "Lambda gathers for 0 to 300 seconds."
  }
}

variable "settings" {
  description = "Further INLET_... settings of the program, by variable name."
  type        = map(string)
  default     = {}
  validation {
    condition     = alltrue([for k in keys(var.settings) : can(regex("^INLET_[A-Z0-9_]+$", k))])
    error_message = "settings are environment variables of the program: INLET_..."
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
