# prod: about a million events an hour. A week to mend a consumer, no way out to the internet, a key of its own,
# nothing deleted by accident. Set alarm_email or alarm_topic_arn.
environment         = "prod"
deletion_protection = true
customer_key        = true
stream_mode         = "ON_DEMAND"
retention_hours     = 168
worker_cpu          = 512
worker_memory       = 1024
min_workers         = 1
max_workers         = 4
network             = "private"
zones               = 3
container_insights  = true
old_version_days    = 30
log_retention_days  = 90
query_tables        = ["payment", "order", "page_view"]
monthly_budget_usd  = 600
settings            = { INLET_COMMIT_INTERVAL = "60s" }
