output "region" {
  description = "The AWS region."
  value       = local.region
}

output "stream" {
  description = "The stream: name and ARN."
  value       = module.stream.stream
}

output "lake" {
  description = "The lake: bucket, prefix, URI and Glue database."
  value       = module.lake.lake
}

output "workgroup" {
  description = "The Athena workgroup to query in."
  value       = module.lake.workgroup
}

output "consumer" {
  description = "What reads the stream."
  value       = var.consumer
}

output "environment" {
  description = "The program's settings, as environment variables."
  value       = one(concat(module.worker[*].environment, module.lambda[*].environment))
}

output "worker" {
  description = "The worker: repository, cluster, service, task definition, log group; null without one."
  value       = one(module.worker[*])
}

output "function" {
  description = "The Lambda function; null without one."
  value       = one(module.lambda[*].function)
}

output "raw_table" {
  description = "The table over the raw copy; null without one."
  value       = one(module.raw[*].table)
}

output "image_tag" {
  description = "The image that is deployed."
  value       = var.image_tag
}

output "dashboard" {
  description = "The CloudWatch dashboard."
  value       = module.observability.dashboard
}

output "alarm_topic_arn" {
  description = "Where alarms go; null: nowhere but the console."
  value       = module.observability.topic_arn
}
