# dev: everything that prod has, as small and as quickly gone as can be.
environment        = "dev"
stream_mode        = "PROVISIONED"
shards             = 1
spot               = true
zones              = 2
old_version_days   = 1
log_retention_days = 7
query_tables       = ["payment", "page_view"]
monthly_budget_usd = 50
settings           = { INLET_COMMIT_INTERVAL = "60s", INLET_METRICS_TABLES = "0" } # no metrics by table: each has a price
