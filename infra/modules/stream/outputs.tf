output "stream" {
  description = "The stream: name and ARN."
  value       = { name = local.name, arn = local.arn }
  depends_on  = [aws_kinesis_stream.this]
}
