mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name   = "inlet-test"
  place  = { account = "123456789012", partition = "aws", region = "eu-west-1" }
  stream = { name = "events", arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/events" }
  lake   = { bucket = "b", arn = "arn:aws:s3:::b", prefix = "lake", uri = "s3://b/lake", database = "d" }
  zones  = ["eu-west-1a", "eu-west-1b"]
}

run "public" {
  command = apply
  module {
    source = "./modules/worker"
  }
  variables {
    settings = { INLET_COMMIT_INTERVAL = "15m", INLET_MEMORY = "200MB" }
  }
  assert {
    condition     = length(aws_vpc_endpoint.interface) == 0 && length(aws_internet_gateway.this) == 1 && length(aws_vpc_security_group_ingress_rule.endpoints) == 0
    error_message = "public subnets have a way out, nothing by the hour, and nothing may come in"
  }
  assert {
    condition     = output.environment["INLET_STREAM"] == "kinesis://events" && output.environment["INLET_LAKE"] == "s3://b/lake" && output.environment["INLET_CATALOG"] == "glue://d" && output.environment["INLET_LEASES"] == "dynamodb://inlet-test-leases"
    error_message = "the program is told where all is"
  }
  assert {
    condition     = output.environment["INLET_COMMIT_INTERVAL"] == "15m" && output.environment["INLET_MEMORY"] == "200MB"
    error_message = "settings are added, and win"
  }
  assert {
    condition = alltrue([for c in jsondecode(aws_ecs_task_definition.this.container_definitions) :
    c.readonlyRootFilesystem && c.user == "65532:65532" && c.linuxParameters.capabilities.drop[0] == "ALL" && c.stopTimeout == 120 && c.command[0] == "run"])
    error_message = "the container has a read-only root, no root user, no capabilities, and two minutes to drain"
  }
  assert {
    condition     = aws_ecs_task_definition.this.runtime_platform[0].cpu_architecture == "ARM64"
    error_message = "Fargate on Arm"
  }
  assert {
    condition     = aws_ecs_service.this.deployment_minimum_healthy_percent == 100 && aws_ecs_service.this.deployment_circuit_breaker[0].rollback
    error_message = "a deployment drains, and goes back where it fails"
  }
  assert {
    condition     = length(aws_appautoscaling_target.this) == 0
    error_message = "one worker: no autoscaling"
  }
}

run "private_and_scaled" {
  command = apply
  module {
    source = "./modules/worker"
  }
  variables {
    network           = "private"
    max_workers       = 4
    scale_lag_seconds = 100
    spot              = true
    architecture      = "amd64"
    customer_key      = true
    key_arn           = "arn:aws:kms:eu-west-1:123456789012:key/k"
    stream_key_arn    = "arn:aws:kms:eu-west-1:123456789012:key/theirs"
  }
  assert {
    condition     = length(aws_vpc_endpoint.interface) == 5 && length(aws_internet_gateway.this) == 0 && length(aws_route.out) == 0 && length(aws_vpc_security_group_egress_rule.internet) == 0
    error_message = "private subnets have endpoints and no way out"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.out[0].threshold == 100000 && aws_appautoscaling_target.this[0].max_capacity == 4
    error_message = "workers are added at the lag given"
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.key[0].policy).Statement[0].Resource == ["arn:aws:kms:eu-west-1:123456789012:key/k", "arn:aws:kms:eu-west-1:123456789012:key/theirs"]
    error_message = "just these two keys may be used, through the services"
  }
  assert {
    condition     = aws_ecs_task_definition.this.runtime_platform[0].cpu_architecture == "X86_64"
    error_message = "a region without Fargate on Arm can be used"
  }
  assert {
    condition     = one(aws_ecs_service.this.capacity_provider_strategy).capacity_provider == "FARGATE_SPOT"
    error_message = "spot is spot"
  }
}

run "refused" {
  command = plan
  module {
    source = "./modules/worker"
  }
  variables {
    memory             = 700
    network            = "nat"
    min_workers        = 5
    max_workers        = 2
    vpc_cidr           = "10.0.0.0/28"
    image_tag          = "a b"
    architecture       = "mips"
    settings           = { PATH = "/x" }
    log_retention_days = 2
    scale_lag_seconds  = 1
    zones              = []
  }
  expect_failures = [var.memory, var.network, var.max_workers, var.vpc_cidr, var.image_tag, var.architecture, var.settings, var.log_retention_days, var.scale_lag_seconds, var.zones]
}

run "a_size_that_fargate_has_not" {
  command = plan
  module {
    source = "./modules/worker"
  }
  variables {
    cpu = 300
  }
  expect_failures = [var.cpu]
}
