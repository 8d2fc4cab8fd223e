output "delivery_stream" {
  description = "The Firehose's name."
  value       = aws_kinesis_firehose_delivery_stream.this.name
}

output "table" {
  description = "The Glue table over what it writes."
  value       = "${var.lake.database}.${aws_glue_catalog_table.this.name}"
}
