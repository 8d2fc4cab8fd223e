# The image's repository, the leases, the log, and the service that runs `inlet run`.
resource "aws_ecr_repository" "this" {
  name                 = var.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = !var.deletion_protection
  image_scanning_configuration {
    scan_on_push = true
  }
  encryption_configuration {
    encryption_type = var.customer_key ? "KMS" : "AES256"
    kms_key         = var.customer_key ? var.key_arn : null
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  repository = aws_ecr_repository.this.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "the last 20 images, to go back to"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 20 }
      action       = { type = "expire" }
    }]
  })
}

# The Kinesis Client Library's layout; see the lease room.
resource "aws_dynamodb_table" "leases" {
  name                        = local.leases
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "leaseKey"
  deletion_protection_enabled = var.deletion_protection
  attribute {
    name = "leaseKey"
    type = "S"
  }
  point_in_time_recovery {
    enabled = var.deletion_protection
  }
  # DynamoDB always encrypts; this says whose key it is.
  server_side_encryption {
    enabled     = true
    kms_key_arn = var.customer_key ? var.key_arn : null
  }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = local.log_group
  retention_in_days = var.log_retention_days
  kms_key_id        = var.customer_key ? var.key_arn : null
}

resource "aws_ecs_cluster" "this" {
  name = var.name
  setting {
    name  = "containerInsights"
    value = var.container_insights ? "enabled" : "disabled"
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
}

locals {
  environment = merge({
    AWS_REGION    = var.place.region
    INLET_STREAM  = "kinesis://${var.stream.name}"
    INLET_LAKE    = var.lake.uri
    INLET_CATALOG = "glue://${var.lake.database}"
    INLET_LEASES  = "dynamodb://${local.leases}"
    INLET_MEMORY  = "${floor(var.memory / 2)}MB" # the rest is the allocator's, curl's and the image's
    INLET_HTTP    = "127.0.0.1:8080"             # for the health check inside the container alone
    INLET_METRICS = "emf"
  }, var.settings)
}

resource "aws_ecs_task_definition" "this" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  execution_role_arn       = aws_iam_role.start.arn
  task_role_arn            = aws_iam_role.run.arn
  runtime_platform {
    cpu_architecture        = var.architecture == "arm64" ? "ARM64" : "X86_64"
    operating_system_family = "LINUX"
  }
  container_definitions = jsonencode([{
    name                   = "inlet"
    image                  = "${aws_ecr_repository.this.repository_url}:${var.image_tag}"
    command                = ["run"]
    essential              = true
    user                   = "65532:65532"
    readonlyRootFilesystem = true
    stopTimeout            = 120 # SIGTERM commits what is open, gives the shards back and ends
    linuxParameters        = { capabilities = { drop = ["ALL"] }, initProcessEnabled = false }
    environment            = [for k in sort(keys(local.environment)) : { name = k, value = local.environment[k] }]
    healthCheck = {
      command     = ["CMD", "/usr/local/bin/inlet-health", "127.0.0.1:8080"]
      interval    = 30
      timeout     = 5
      retries     = 3
      startPeriod = 120
    }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = var.place.region
        awslogs-stream-prefix = "inlet"
        mode                  = "non-blocking"
        max-buffer-size       = "4m"
      }
    }
  }])
}

resource "aws_ecs_service" "this" {
  name                   = "inlet"
  cluster                = aws_ecs_cluster.this.id
  task_definition        = aws_ecs_task_definition.this.arn
  desired_count          = var.min_workers
  platform_version       = "LATEST"
  enable_execute_command = false
  propagate_tags         = "SERVICE"
  # A deployment drains: the new task starts beside the old one and waits for its leases, which the old one gives
  # back when it is told to end. What does not become healthy is rolled back.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
  capacity_provider_strategy {
    capacity_provider = var.spot ? "FARGATE_SPOT" : "FARGATE"
    weight            = 1
  }
  network_configuration {
    subnets          = aws_subnet.this[*].id
    security_groups  = [aws_security_group.worker.id]
    assign_public_ip = local.public # without NAT the only way out; the security group lets nothing in
  }
  lifecycle {
    ignore_changes = [desired_count] # autoscaling's
  }
  depends_on = [
    aws_ecs_cluster_capacity_providers.this, aws_iam_role_policy.run, aws_iam_role_policy.key, aws_iam_role_policy.start,
    aws_route.out, aws_vpc_endpoint.interface, aws_vpc_endpoint.s3, aws_dynamodb_table.leases,
  ]
}
