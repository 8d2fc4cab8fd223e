# Two roles: what ECS does to start a task, and what the program does.
locals {
  trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = var.place.account }
        ArnLike      = { "aws:SourceArn" = "${local.arn}:ecs:${local.here}:*" }
      }
    }]
  })
}

resource "aws_iam_role" "start" {
  name               = "${var.name}-start-${var.place.region}"
  description        = "ECS: pulls the image, opens the log"
  assume_role_policy = local.trust
}

resource "aws_iam_role_policy" "start" {
  name = "start"
  role = aws_iam_role.start.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # AWS takes no resource here: the token is the registry's.
        Sid      = "RegistryToken"
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*"
      },
      {
        Sid      = "Image"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = local.repo_arn
      },
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${local.log_arn}:log-stream:*"
      },
    ]
  })
}

resource "aws_iam_role" "run" {
  name               = "${var.name}-run-${var.place.region}"
  description        = "inlet: reads the stream, writes the lake"
  assume_role_policy = local.trust
}

resource "aws_iam_role_policy" "run" {
  name = "run"
  role = aws_iam_role.run.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "Stream", Effect = "Allow", Action = local.stream_actions, Resource = var.stream.arn },
      { Sid = "Lake", Effect = "Allow", Action = local.object_actions, Resource = "${var.lake.arn}/${var.lake.prefix}/*" },
      {
        # Also what makes S3 answer 404 rather than 403 for an object that is not there; that request bears no
        # prefix, hence IfExists.
        Sid       = "List"
        Effect    = "Allow"
        Action    = "s3:ListBucket"
        Resource  = var.lake.arn
        Condition = { StringLikeIfExists = { "s3:prefix" = ["${var.lake.prefix}/*"] } }
      },
      { Sid = "Catalog", Effect = "Allow", Action = local.glue_actions, Resource = local.glue_arns },
      { Sid = "Leases", Effect = "Allow", Action = local.lease_actions, Resource = local.leases_arn },
    ]
  })
}

# Apart from the rest, since a key's ARN is known only after it is made.
resource "aws_iam_role_policy" "key" {
  count = var.customer_key || var.stream_key_arn != null ? 1 : 0
  name  = "key"
  role  = aws_iam_role.run.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "ThroughTheServices"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = local.keys
      Condition = {
        StringEquals = { "kms:ViaService" = [for s in ["dynamodb", "kinesis", "s3"] : "${s}.${var.place.region}.amazonaws.com"] }
      }
    }]
  })
}
