# small: about a thousand events an hour, kept for good. What costs is what is there all month, so: one shard, one
# smallest task on Spot, rare commits. consumer = "lambda" costs less still (docs/operations.md).
environment              = "small"
deletion_protection      = true
stream_mode              = "PROVISIONED"
shards                   = 1
retention_hours          = 48
spot                     = true
zones                    = 2
settings                 = { INLET_COMMIT_INTERVAL = "15m", INLET_METRICS_TABLES = "0" } # no metrics by table: each has a price
log_retention_days       = 14
query_tables             = ["payment"]
alarm_commit_age_seconds = 6000 # small tables wait up to five commit intervals
monthly_budget_usd       = 40
