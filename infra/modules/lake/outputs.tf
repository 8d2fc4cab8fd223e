output "lake" {
  description = "The lake: bucket, its ARN, prefix, URI and Glue database."
  value = {
    bucket   = local.bucket
    arn      = local.arn
    prefix   = var.prefix
    uri      = "s3://${local.bucket}/${var.prefix}"
    database = local.database
  }
  depends_on = [aws_s3_bucket.this, aws_s3_bucket_server_side_encryption_configuration.this, aws_glue_catalog_database.this]
}

output "workgroup" {
  description = "The Athena workgroup to query in."
  value       = aws_athena_workgroup.this.name
}
