variable "name" {
  description = "The environment's name."
  type        = string
}

variable "place" {
  description = "Where this is: account, partition and region."
  type        = object({ account = string, partition = string, region = string })
}

variable "tags" {
  description = "The environment's tags; the budget counts what bears its project and environment."
  type        = map(string)
}

variable "stream" {
  description = "The stream that is consumed."
  type        = object({ name = string, arn = string })
}

variable "consumer" {
  description = "What reads it: worker, lambda or none; the alarms fit it."
  type        = string
  validation {
    condition     = contains(["worker", "lambda", "none"], var.consumer)
    error_message = "consumer is worker, lambda or none."
  }
}

variable "log_group" {
  description = "The consumer's log group; null where there is none."
  type        = string
  default     = null
}

variable "delivery_stream" {
  description = "The Firehose of the raw form; null where there is none."
  type        = string
  default     = null
}

variable "customer_key" {
  description = "Make a topic for alarms, encrypted with key_arn. CloudWatch cannot publish to a topic that AWS's own key encrypts."
  type        = bool
  default     = false
}

variable "key_arn" {
  description = "The customer-managed key, where customer_key is true."
  type        = string
  default     = null
}

variable "alarm_email" {
  description = "Who is written to; AWS asks that address to confirm."
  type        = string
  default     = null
  validation {
    condition     = var.alarm_email == null || can(regex("^[^@[:space:]]+@[^@[:space:]]+$", var.alarm_email))
    error_message = "alarm_email is no address."
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

variable "lag_seconds" {
  description = "Alarm: the reader is so far behind the stream."
  type        = number
  default     = 900
}

variable "commit_age_seconds" {
  description = "Alarm: rows have waited so long for a commit."
  type        = number
  default     = 900
}

variable "dead_letters" {
  description = "Alarm: so many dead letters in an hour."
  type        = number
  default     = 1000
}

variable "restarts" {
  description = "Alarm: the program was started so often in an hour."
  type        = number
  default     = 4
}

variable "monthly_budget_usd" {
  description = "Alarm: the month's cost is forecast above this; 0: no budget."
  type        = number
  default     = 0
  validation {
    condition     = var.monthly_budget_usd >= 0
    error_message = "A budget is 0 or more."
  }
}
