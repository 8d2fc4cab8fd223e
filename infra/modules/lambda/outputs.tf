output "log_group" {
  description = "Where the function's logs and metric lines go."
  value       = aws_cloudwatch_log_group.this.name
}

output "function" {
  description = "The function's name."
  value       = aws_lambda_function.this.function_name
}

output "environment" {
  description = "The program's settings."
  value       = local.environment
}
