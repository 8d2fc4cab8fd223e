# local: the same modules on a stand-in for AWS on this machine (make env-up ENV=local).
environment        = "local"
local              = true
region             = "eu-west-1"
customer_key       = true
stream_mode        = "PROVISIONED"
shards             = 4
max_workers        = 2
raw                = true
zones              = 2
old_version_days   = 1
log_retention_days = 1
query_tables       = ["payment"]
alarm_email        = "nobody@example.invalid"
monthly_budget_usd = 1
settings           = { INLET_COMMIT_INTERVAL = "5s" }
