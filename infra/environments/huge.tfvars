# huge: about a billion events an hour (280,000 a second, some 125 MB a second). Provisioned shards cost less than on
# demand where the rate is known; compaction is left to another engine (docs/operations.md).
environment          = "huge"
deletion_protection  = true
customer_key         = true
stream_mode          = "PROVISIONED"
shards               = 400
retention_hours      = 168
worker_cpu           = 4096
worker_memory        = 16384
min_workers          = 4
max_workers          = 24
network              = "private"
vpc_cidr             = "10.42.0.0/22"
zones                = 3
container_insights   = true
scale_lag_seconds    = 180
old_version_days     = 7
log_retention_days   = 30
athena_scan_limit_gb = 5000
query_tables         = ["payment", "order", "page_view"]
monthly_budget_usd   = 20000
settings             = { INLET_COMMIT_INTERVAL = "60s", INLET_COMMIT_BYTES = "256MB" }
