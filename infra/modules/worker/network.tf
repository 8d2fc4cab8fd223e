# A network of the worker's own, without NAT: nothing comes in, and what goes out is HTTPS to AWS.
locals {
  public = var.network == "public"
  # Hourly priced, by zone; only where nothing else leads out.
  interfaces = local.public ? [] : ["ecr.api", "ecr.dkr", "glue", "kinesis-streams", "logs"]
  image      = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
  through = {
    "ecr.api" = [
      { Action = ["ecr:GetAuthorizationToken"], Resource = ["*"] }, # AWS takes no resource here
      { Action = local.image, Resource = [local.repo_arn] },
    ]
    "ecr.dkr"         = [{ Action = local.image, Resource = [local.repo_arn] }]
    "glue"            = [{ Action = local.glue_actions, Resource = local.glue_arns }]
    "kinesis-streams" = [{ Action = local.stream_actions, Resource = [var.stream.arn] }]
    "logs"            = [{ Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["${local.log_arn}:log-stream:*"] }]
  }
  ours = { StringEquals = { "aws:PrincipalAccount" = var.place.account } }
}

resource "aws_vpc" "this" {
  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = var.name }
}

# The VPC's own group, which anything without a group of its own would get: closed.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
}

resource "aws_subnet" "this" {
  count                   = length(var.zones)
  vpc_id                  = aws_vpc.this.id
  availability_zone       = var.zones[count.index]
  cidr_block              = cidrsubnet(var.vpc_cidr, 3, count.index)
  map_public_ip_on_launch = false
  tags                    = { Name = "${var.name}-${var.zones[count.index]}" }
}

resource "aws_internet_gateway" "this" {
  count  = local.public ? 1 : 0
  vpc_id = aws_vpc.this.id
  tags   = { Name = var.name }
}

resource "aws_route_table" "this" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = var.name }
}

resource "aws_route" "out" {
  count                  = local.public ? 1 : 0
  route_table_id         = aws_route_table.this.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_route_table_association" "this" {
  count          = length(var.zones)
  subnet_id      = aws_subnet.this[count.index].id
  route_table_id = aws_route_table.this.id
}

# Free, and they keep the lake's bytes off any priced path.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${var.place.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.this.id]
  tags              = { Name = "${var.name}-s3" }
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Lake"
        Effect    = "Allow"
        Principal = { AWS = "*" }
        Action    = concat(local.object_actions, ["s3:ListBucket"])
        Resource  = [var.lake.arn, "${var.lake.arn}/${var.lake.prefix}/*"]
        Condition = local.ours
      },
      {
        # Layers of images lie in a bucket of AWS's; ECR hands out signed addresses, so the caller is not of our account.
        Sid       = "ImageLayers"
        Effect    = "Allow"
        Principal = { AWS = "*" }
        Action    = ["s3:GetObject"]
        Resource  = ["${local.arn}:s3:::prod-${var.place.region}-starport-layer-bucket/*"]
      },
    ]
  })
}

resource "aws_vpc_endpoint" "dynamodb" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${var.place.region}.dynamodb"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.this.id]
  tags              = { Name = "${var.name}-dynamodb" }
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Leases"
      Effect    = "Allow"
      Principal = { AWS = "*" }
      Action    = local.lease_actions
      Resource  = [local.leases_arn]
      Condition = local.ours
    }]
  })
}

resource "aws_vpc_endpoint" "interface" {
  for_each            = toset(local.interfaces)
  vpc_id              = aws_vpc.this.id
  service_name        = "com.amazonaws.${var.place.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = aws_subnet.this[*].id
  security_group_ids  = [aws_security_group.endpoints[0].id]
  tags                = { Name = "${var.name}-${each.key}" }
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [for s in local.through[each.key] : merge(s, { Effect = "Allow", Principal = { AWS = "*" }, Condition = local.ours })]
  })
}

resource "aws_security_group" "worker" {
  name        = "${var.name}-worker"
  description = "Nothing in; HTTPS out"
  vpc_id      = aws_vpc.this.id
  tags        = { Name = "${var.name}-worker" }
}

resource "aws_vpc_security_group_egress_rule" "internet" {
  count             = local.public ? 1 : 0
  security_group_id = aws_security_group.worker.id
  description       = "HTTPS to the AWS APIs, whose addresses have no fixed list"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "gateways" {
  for_each          = local.public ? {} : { s3 = aws_vpc_endpoint.s3.prefix_list_id, dynamodb = aws_vpc_endpoint.dynamodb.prefix_list_id }
  security_group_id = aws_security_group.worker.id
  description       = "HTTPS to ${each.key} through its gateway endpoint"
  prefix_list_id    = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "endpoints" {
  count                        = local.public ? 0 : 1
  security_group_id            = aws_security_group.worker.id
  description                  = "HTTPS to the interface endpoints"
  referenced_security_group_id = aws_security_group.endpoints[0].id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_security_group" "endpoints" {
  count       = local.public ? 0 : 1
  name        = "${var.name}-endpoints"
  description = "HTTPS from the worker"
  vpc_id      = aws_vpc.this.id
  tags        = { Name = "${var.name}-endpoints" }
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  count                        = local.public ? 0 : 1
  security_group_id            = aws_security_group.endpoints[0].id
  description                  = "HTTPS from the worker"
  referenced_security_group_id = aws_security_group.worker.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}
