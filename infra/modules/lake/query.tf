# The catalog and the way to ask: a Glue database, an Athena workgroup with a scan limit, saved queries.
resource "aws_glue_catalog_database" "this" {
  name         = local.database
  description  = "Events by type: Iceberg tables written by inlet"
  location_uri = "s3://${local.bucket}/${var.prefix}"
}

resource "aws_athena_workgroup" "this" {
  name          = var.name
  description   = "Queries over ${local.database}; ended beyond ${var.scan_limit_gb} GB"
  force_destroy = !var.deletion_protection
  configuration {
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    bytes_scanned_cutoff_per_query     = var.scan_limit_gb * 1024 * 1024 * 1024
    engine_version {
      selected_engine_version = "Athena engine version 3"
    }
    result_configuration {
      output_location = "s3://${local.bucket}/${local.results}/"
      encryption_configuration {
        encryption_option = var.customer_key ? "SSE_KMS" : "SSE_S3"
        kms_key_arn       = var.customer_key ? var.key_arn : null
      }
    }
  }
}

locals {
  queries = merge(
    {
      "dead letters by reason" = <<-SQL
        SELECT reason, count(*) AS records, max(_arrived_at) AS newest
        FROM inlet_dead_letters GROUP BY reason ORDER BY records DESC
      SQL
    },
    { for t in var.query_tables : "${t}: rows by day and subtype" => <<-SQL
        SELECT date(event_time) AS day, event_subtype, count(*) AS events
        FROM "${t}" WHERE event_time > current_timestamp - INTERVAL '7' DAY
        GROUP BY 1, 2 ORDER BY 1 DESC, 3 DESC
      SQL
    },
    { for t in var.query_tables : "${t}: an event_uuid that is there twice" => <<-SQL
        SELECT event_uuid, count(*) AS times
        FROM "${t}" WHERE event_time > current_timestamp - INTERVAL '2' DAY
        GROUP BY 1 HAVING count(*) > 1 LIMIT 100
      SQL
    },
    { for t in var.query_tables : "${t}: files by partition" => <<-SQL
        SELECT partition, count(*) AS files, sum(record_count) AS rows, sum(file_size_in_bytes) / 1e6 AS mb
        FROM "${t}$files" GROUP BY 1 ORDER BY files DESC LIMIT 100
      SQL
    },
  )
}

resource "aws_athena_named_query" "this" {
  for_each  = local.queries
  name      = each.key
  workgroup = aws_athena_workgroup.this.id
  database  = aws_glue_catalog_database.this.name
  query     = each.value
}
