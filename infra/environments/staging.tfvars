# staging: prod's shape and network at dev's size, to try an upgrade on.
environment        = "staging"
customer_key       = true
stream_mode        = "ON_DEMAND"
retention_hours    = 48
max_workers        = 2
network            = "private"
zones              = 2
old_version_days   = 7
log_retention_days = 14
query_tables       = ["payment", "page_view"]
monthly_budget_usd = 300
settings           = { INLET_COMMIT_INTERVAL = "60s" }
