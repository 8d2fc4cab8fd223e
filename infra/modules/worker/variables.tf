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
  description = "Encrypt logs, image and leases with key_arn, which the lake and the stream then use too."
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

variable "cpu" {
  description = "CPU units of a task; 1024 is one vCPU."
  type        = number
  default     = 256
  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.cpu)
    error_message = "Fargate has tasks of 256, 512, 1024, 2048, 4096, 8192 and 16384 CPU units."
  }
}

variable "memory" {
  description = "MiB of a task."
  type        = number
  default     = 512
  validation {
    condition     = var.memory >= 512 && (var.memory == 512 || var.memory % 1024 == 0) && var.memory >= var.cpu * 2 && var.memory <= var.cpu * 8
    error_message = "Fargate wants 512 or a multiple of 1024 MiB, 2 to 8 for each CPU unit."
  }
}

variable "architecture" {
  description = "arm64, or amd64 where a region has no Fargate on Arm."
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
    condition     = var.max_workers >= 1 && var.max_workers >= var.min_workers && var.max_workers <= 500
    error_message = "max_workers is at least min_workers and 1, and at most 500."
  }
}

variable "spot" {
  description = "Run on Fargate Spot: cheaper, and a task may be stopped at two minutes' notice (it commits and ends)."
  type        = bool
  default     = false
}

variable "network" {
  description = "public: subnets with a way out, nothing may come in, no hourly price but the address; private: no way out, interface endpoints instead."
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
    condition     = can(cidrsubnet(var.vpc_cidr, 3, 7)) && tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 25
    error_message = "vpc_cidr is an IPv4 block from /16 to /25."
  }
}

variable "zones" {
  description = "Availability zones to have a subnet in."
  type        = list(string)
  validation {
    condition     = length(var.zones) >= 1 && length(var.zones) <= 6
    error_message = "One to six zones."
  }
}

variable "image_tag" {
  description = "The image's tag in the environment's repository."
  type        = string
  default     = "latest"
  validation {
    condition     = can(regex("^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}$", var.image_tag))
    error_message = "image_tag is no tag of a container image."
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

variable "scale_lag_seconds" {
  description = "A task is added while the stream's reader is further behind than this."
  type        = number
  default     = 300
  validation {
    condition     = var.scale_lag_seconds >= 60
    error_message = "scale_lag_seconds is 60 or more: a commit interval behind is no lag."
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
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, ... days."
  }
}

variable "deletion_protection" {
  description = "Protect the lease table and the images."
  type        = bool
  default     = false
}
