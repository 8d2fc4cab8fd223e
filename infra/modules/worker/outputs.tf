output "log_group" {
  description = "Where the worker's logs and metric lines go."
  value       = aws_cloudwatch_log_group.this.name
}

output "repository_url" {
  description = "Where its image is pushed to."
  value       = aws_ecr_repository.this.repository_url
}

output "task_definition_arn" {
  description = "The registered task definition."
  value       = aws_ecs_task_definition.this.arn
}

output "cluster" {
  description = "The ECS cluster."
  value       = aws_ecs_cluster.this.name
}

output "service" {
  description = "The ECS service."
  value       = aws_ecs_service.this.name
}

output "role_arn" {
  description = "The role that the program has."
  value       = aws_iam_role.run.arn
}

output "environment" {
  description = "The program's settings."
  value       = local.environment
}
