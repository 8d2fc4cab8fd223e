"""What every environment must keep, checked on the resources of a plan or of a state: nothing public, everything
encrypted, no wildcard that AWS does not demand, everything tagged, what lasts protected."""
import json
import re

TAGS = {"project", "environment", "managed-by"}
# Types that hold no data and open nothing by themselves. A type that is neither here nor has a rule below is a finding:
# whoever adds one says how it is kept.
HARMLESS = {
    "aws_appautoscaling_policy", "aws_appautoscaling_target", "aws_athena_named_query", "aws_budgets_budget", "aws_cloudwatch_dashboard",
    "aws_cloudwatch_log_metric_filter", "aws_cloudwatch_log_stream", "aws_cloudwatch_metric_alarm", "aws_ecr_lifecycle_policy",
    "aws_ecs_cluster", "aws_ecs_cluster_capacity_providers", "aws_glue_catalog_database", "aws_glue_catalog_table", "aws_internet_gateway",
    "aws_kinesis_firehose_delivery_stream", "aws_kms_alias", "aws_lambda_event_source_mapping", "aws_route", "aws_route_table",
    "aws_route_table_association", "aws_sns_topic", "aws_vpc", "terraform_data",
}
# Wildcards that AWS demands, each with its reason.
ANY_RESOURCE = {
    "ecr:GetAuthorizationToken": "the token is the registry's: AWS takes no resource",
}
# Where the whole world may be named, since AWS itself asks without our account's name.
LAYERS = "-starport-layer-bucket/*"
# What a role, or an endpoint of the network, may ever allow: reading the stream, writing the lake, starting the task.
ROLE_ACTIONS = {
    *(f"kinesis:{a}" for a in ("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards")),
    *(f"s3:{a}" for a in ("AbortMultipartUpload", "DeleteObject", "GetBucketLocation", "GetObject", "ListBucket", "ListBucketMultipartUploads", "PutObject")),
    *(f"glue:{a}" for a in ("CreateTable", "GetDatabase", "GetTable", "GetTables", "UpdateTable")),
    *(f"dynamodb:{a}" for a in ("DeleteItem", "DescribeTable", "GetItem", "PutItem", "Scan", "UpdateItem")),
    *(f"ecr:{a}" for a in ("BatchCheckLayerAvailability", "BatchGetImage", "GetAuthorizationToken", "GetDownloadUrlForLayer")),
    "logs:CreateLogStream", "logs:PutLogEvents", "kms:Decrypt", "kms:GenerateDataKey",
}
ASSUMED_BY = {"ecs-tasks.amazonaws.com", "firehose.amazonaws.com", "lambda.amazonaws.com"}
SECRETS = re.compile("SECRET|PASSWORD|TOKEN|CREDENTIAL|ACCESS_KEY|PRIVATE_KEY")
EXPIRES = ("athena-results/",)  # of the lake's folders


def listed(x):
    return x if isinstance(x, list) else [] if x is None else [x]


def block(values, name):
    found = listed(values.get(name))
    return found[0] if found else {}


def statements(text):
    return listed(json.loads(text)["Statement"])


def wild(text):
    return "*" in text or "?" in text


def principals(statement):
    """Who is named: (kind, name) each; ("AWS", "*") is anyone."""
    p = statement.get("Principal")
    return [(kind, name) for kind, names in p.items() for name in listed(names)] if isinstance(p, dict) else [("AWS", n) for n in listed(p)]


def anyone(statement):
    return ("AWS", "*") in principals(statement)


def narrowed(statement):
    """Do the conditions of a statement for anyone leave one account only?"""
    equals = statement.get("Condition", {}).get("StringEquals", {})
    return any(key in ("aws:PrincipalAccount", "aws:SourceAccount") and not any(map(wild, listed(values))) for key, values in equals.items())


class Scope:
    """What is the environment's own: its names and its account."""

    def __init__(self, names, accounts):
        self.names, self.accounts = names, accounts

    def holds(self, resource):
        """Named whole; or, before its wildcard, below a name of ours."""
        before = re.split(r"[*?]", resource)[0]
        if wild(resource):
            return any(re.search(re.escape(n) + "[/:]", before) for n in self.names)
        return any(n in resource for n in self.names) or any(f":{a}:" in resource for a in self.accounts)


def check_statement(s, scope, kind):
    """The wildcards, actions and principals of one Allow statement of a policy of that kind."""
    if s["Effect"] == "Deny":
        return
    actions, targets, key = listed(s.get("Action")), listed(s.get("Resource")), kind == "aws_kms_key"
    if "NotAction" in s or "NotResource" in s or "NotPrincipal" in s:
        yield "grants by what is not named"
    root = any(k == "AWS" and name.endswith(":root") for k, name in principals(s))
    for a in actions:
        if wild(a) and not (key and root and a == "kms:*"):  # else nobody could ever manage the key
            yield f"action {a}"
        elif kind in ("aws_iam_role", "aws_iam_role_policy", "aws_vpc_endpoint") and a not in ROLE_ACTIONS | {"sts:AssumeRole"}:
            yield f"action {a} is none that we need"
    for t in targets:
        if t == "*" and not key and not all(a in ANY_RESOURCE for a in actions):  # in a key's policy "*" is the key itself
            yield f"resource * for {', '.join(actions)}"
        if t != "*" and not t.endswith(LAYERS) and not scope.holds(t):
            yield f"resource {t} is wider than the environment" if wild(t) else f"resource {t} is none of ours"
    layers = bool(targets) and all(t.endswith(LAYERS) for t in targets)
    if anyone(s) and not layers and not narrowed(s):
        yield "anyone, without a condition that leaves one account"
    for k, name in principals(s):
        if (k, name) != ("AWS", "*") and (k not in ("AWS", "Service") or wild(name)):
            yield f"principal {k}: {name}"
    if kind == "aws_iam_role_policy" and any(a.startswith("kms:") for a in actions) and "kms:ViaService" not in s.get("Condition", {}).get("StringEquals", {}):
        yield "the key otherwise than through a service"


def check_policy(r, attribute, scope):
    text = r["values"].get(attribute)
    if text is None:
        # A key's ARN is known only when it is made; those policies are apart, and are checked in the state.
        if r["type"] != "aws_iam_role_policy" or r["name"] != "key":
            yield f"{attribute} is not known in the plan, so nobody can check it"
        return
    for s in statements(text):
        for finding in check_statement(s, scope, r["type"]):
            yield f"{attribute}: {s.get('Sid', '')}: {finding}"


def denies_plain_http(text, action, resources):
    """To anyone, for all of the service's actions on that many resources, under no further condition."""
    return any(s["Effect"] == "Deny" and anyone(s) and s.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
               and listed(s.get("Action")) == [action] and len(listed(s.get("Resource"))) == resources for s in statements(text))


# ---- what is asked of each type: (resource, its values, scope, the environment has a key of its own) -> findings

def stream(r, v, scope, keyed):
    if v["encryption_type"] != "KMS":
        yield "not encrypted"


def bucket(r, v, scope, keyed):
    if v.get("acl") not in (None, "private"):
        yield "public"


def public_access(r, v, scope, keyed):
    if not all(v[k] for k in ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")):
        yield "public access is not blocked"


def bucket_encryption(r, v, scope, keyed):
    how = block(block(v, "rule"), "apply_server_side_encryption_by_default").get("sse_algorithm")
    if how != ("aws:kms" if keyed else "AES256"):
        yield f"encrypted by {how}"


def bucket_policy(r, v, scope, keyed):
    yield from check_policy(r, "policy", scope)
    if not denies_plain_http(v["policy"], "s3:*", 2):
        yield "plain HTTP is not denied"


def versioning(r, v, scope, keyed):
    if block(v, "versioning_configuration").get("status") != "Enabled":
        yield "the bucket is not versioned"


def ownership(r, v, scope, keyed):
    if block(v, "rule").get("object_ownership") != "BucketOwnerEnforced":
        yield "others may own their objects in the bucket"


def lifecycle(r, v, scope, keyed):
    """What is current goes only from the folders of query results."""
    for rule in listed(v["rule"]):
        ends = block(rule, "expiration")
        prefix = block(rule, "filter").get("prefix") or rule.get("prefix")
        if (ends.get("days") or ends.get("date")) and prefix not in EXPIRES:
            yield f"the rule {rule['id']} deletes {prefix or 'everything'}"


def dynamodb(r, v, scope, keyed):
    if not block(v, "server_side_encryption").get("enabled"):
        yield "no encryption is asked for"


def ecr(r, v, scope, keyed):
    if block(v, "encryption_configuration").get("encryption_type") != ("KMS" if keyed else "AES256"):
        yield "images are not encrypted as the environment is"
    if v["image_tag_mutability"] != "IMMUTABLE" or not block(v, "image_scanning_configuration").get("scan_on_push"):
        yield "images can be replaced, or are not scanned"


def workgroup(r, v, scope, keyed):
    config = block(v, "configuration")
    how = block(block(config, "result_configuration"), "encryption_configuration").get("encryption_option")
    if how != ("SSE_KMS" if keyed else "SSE_S3") or not config["enforce_workgroup_configuration"]:
        yield "results are not encrypted as the environment is, or a client may say otherwise"
    if not config.get("bytes_scanned_cutoff_per_query"):
        yield "no scan limit"


def kms(r, v, scope, keyed):
    yield from check_policy(r, "policy", scope)
    if not v["enable_key_rotation"]:
        yield "the key is never rotated"


def role(r, v, scope, keyed):
    yield from check_policy(r, "assume_role_policy", scope)
    for s in statements(v["assume_role_policy"]):
        if any(k != "Service" or name not in ASSUMED_BY for k, name in principals(s)):
            yield "assumed by others than our services"
    if v.get("managed_policy_arns"):
        yield "managed policies, which nobody checks"
    for inline in listed(v.get("inline_policy")):
        for s in statements(inline["policy"]) if inline.get("policy") else []:
            yield from check_statement(s, scope, "aws_iam_role_policy")


def role_policy(r, v, scope, keyed):
    yield from check_policy(r, "policy", scope)


def topic_policy(r, v, scope, keyed):
    yield from check_policy(r, "policy", scope)
    if v.get("policy") and not denies_plain_http(v["policy"], "sns:Publish", 1):
        yield "plain HTTP is not denied"


def subscription(r, v, scope, keyed):
    if v["protocol"] != "email":
        yield f"alarms are told by {v['protocol']}"


def default_group(r, v, scope, keyed):
    if v.get("ingress") or v.get("egress"):
        yield "the network's own group is open"


def group(r, v, scope, keyed):
    """Its own rules; in a state that was read back, those of the rules' resources stand here, too."""
    for kind, check in (("ingress", ingress), ("egress", egress)):
        for rule in listed(v.get(kind)):
            blocks = (rule.get("cidr_blocks") or []) + (rule.get("ipv6_cidr_blocks") or [])
            yield from check(r, {**rule, "ip_protocol": rule.get("protocol"), "cidr_ipv4": ", ".join(blocks)}, scope, keyed)


def https(v):
    return (v["from_port"], v["to_port"], v["ip_protocol"]) == (443, 443, "tcp")


def ingress(r, v, scope, keyed):
    if v.get("cidr_ipv4") or v.get("cidr_ipv6"):
        yield f"open to {v.get('cidr_ipv4') or v.get('cidr_ipv6')}"
    if not https(v):
        yield "other than HTTPS comes in"


def egress(r, v, scope, keyed):
    if not https(v):
        yield "other than HTTPS goes out"


def subnet(r, v, scope, keyed):
    if v["map_public_ip_on_launch"]:
        yield "gives everything in it a public address"


def task(r, v, scope, keyed):
    if v.get("network_mode", "awsvpc") != "awsvpc" or v.get("pid_mode") or v.get("ipc_mode"):
        yield "the task has no network of its own"
    for c in json.loads(v["container_definitions"]) if v.get("container_definitions") else []:
        if c.get("user") in (None, "", "root", "0") or not c.get("readonlyRootFilesystem") or c.get("privileged"):
            yield "the container is root, or can write its root"
        capabilities = c.get("linuxParameters", {}).get("capabilities", {})
        if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
            yield "the container keeps capabilities"
        if c.get("portMappings"):
            yield "the container listens"
        yield from secrets(e["name"] for e in c.get("environment", []))


def secrets(names):
    for name in names:
        if SECRETS.search(name):
            yield f"a secret in the environment: {name}"


def service(r, v, scope, keyed):
    if v["enable_execute_command"] or v.get("load_balancer"):
        yield "somebody can come in"


def function(r, v, scope, keyed):
    if v["architectures"] != ["arm64"]:
        yield "not on Arm"
    yield from secrets(block(v, "environment").get("variables") or {})


def log_group(r, v, scope, keyed):
    if not v.get("retention_in_days"):
        yield "logs are kept for ever"


RULES = {
    "aws_kinesis_stream": stream, "aws_s3_bucket": bucket, "aws_s3_bucket_public_access_block": public_access,
    "aws_s3_bucket_server_side_encryption_configuration": bucket_encryption, "aws_s3_bucket_policy": bucket_policy,
    "aws_s3_bucket_versioning": versioning, "aws_s3_bucket_ownership_controls": ownership, "aws_s3_bucket_lifecycle_configuration": lifecycle,
    "aws_dynamodb_table": dynamodb, "aws_ecr_repository": ecr, "aws_athena_workgroup": workgroup, "aws_kms_key": kms, "aws_iam_role": role,
    "aws_iam_role_policy": role_policy, "aws_vpc_endpoint": role_policy, "aws_sns_topic_policy": topic_policy,
    "aws_sns_topic_subscription": subscription, "aws_security_group": group, "aws_default_security_group": default_group,
    "aws_vpc_security_group_ingress_rule": ingress, "aws_vpc_security_group_egress_rule": egress, "aws_subnet": subnet,
    "aws_ecs_task_definition": task, "aws_ecs_service": service, "aws_lambda_function": function, "aws_cloudwatch_log_group": log_group,
}


def check_resource(r, scope, keyed):
    """Findings about one resource by itself."""
    v = r["values"]
    if "tags_all" in v and not TAGS <= set(v["tags_all"] or {}):
        yield f"not tagged: {sorted(TAGS - set(v['tags_all'] or {}))}"
    if r["type"] in RULES:
        yield from RULES[r["type"]](r, v, scope, keyed)
    elif r["type"] not in HARMLESS:
        yield "a type that no rule knows: say in policy.py how it is kept"


def key_unset(r, attribute, unknown, keyed):
    """No key, and none will be there (not known in the plan); or AWS's own where the environment has one."""
    value = r["values"].get(attribute)
    return keyed and (value or "").startswith("alias/aws/") or not value and not (unknown.get(r["address"], {}) or {}).get(attribute)


KEYED = {"aws_cloudwatch_log_group": "kms_key_id", "aws_sns_topic": "kms_master_key_id", "aws_lambda_function": "kms_key_arn", "aws_kinesis_stream": "kms_key_id"}


def violations(found, keyed, protected, unknown=None, private=False, theirs=()):
    """Findings, each "address: what is wrong". found: resources; unknown: by address, the attributes known only after apply;
    private: the network has no way out; theirs: names of what is used and not made."""
    by_type = {}
    for r in found:
        by_type.setdefault(r["type"], []).append(r)
    names = {r["values"]["name"] for r in by_type.get("aws_ecs_cluster", []) + by_type.get("aws_athena_workgroup", [])}
    names |= {n.replace("-", "_") for n in names} | {r["values"]["bucket"] for r in by_type.get("aws_s3_bucket", [])}
    names |= set(theirs)
    accounts = account_ids(found)
    scope = Scope(names, accounts)
    out = [f"policies name other accounts: {sorted(accounts)}"] if len(accounts) > 1 else []
    for r in found:
        out += [f"{r['address']}: {f}" for f in check_resource(r, scope, keyed)]
        attribute = KEYED.get(r["type"])
        if attribute and (keyed or r["type"] in ("aws_sns_topic", "aws_kinesis_stream")) and key_unset(r, attribute, unknown or {}, keyed):
            out.append(f"{r['address']}: not encrypted with a key")
    buckets = len(by_type.get("aws_s3_bucket", []))
    for needed in ("aws_s3_bucket_public_access_block", "aws_s3_bucket_policy", "aws_s3_bucket_server_side_encryption_configuration", "aws_s3_bucket_versioning"):
        if len(by_type.get(needed, [])) != buckets:
            out.append(f"{needed}: not for every bucket")
    if not by_type.get("aws_default_security_group") and by_type.get("aws_vpc"):
        out.append("aws_vpc: its default security group is open")
    if private:
        out += [f"{r['address']}: a way out of a private network" for r in found if r["type"] == "aws_internet_gateway"
                or block(r["values"], "network_configuration").get("assign_public_ip")]
    if protected:
        out += unprotected(by_type)
    return out


def account_ids(found):
    texts = [r["values"].get(a) or "" for r in found for a in ("policy", "assume_role_policy")]
    return {n for text in texts for n in re.findall(r"(?<![0-9])[0-9]{12}(?![0-9])", text)}


def unprotected(by_type):
    for kind in ("aws_kinesis_stream", "aws_s3_bucket"):
        for r in by_type.get(kind, []):
            module = r["address"].rsplit(f"{kind}.", 1)[0]
            if not any(g["address"].startswith(f"{module}terraform_data.guard") for g in by_type.get("terraform_data", [])):
                yield f"{r['address']}: no guard against deletion"
    for kind, attribute, good in (("aws_s3_bucket", "force_destroy", False), ("aws_dynamodb_table", "deletion_protection_enabled", True),
                                  ("aws_ecr_repository", "force_delete", False), ("aws_athena_workgroup", "force_destroy", False),
                                  ("aws_kms_key", "deletion_window_in_days", 30)):
        for r in by_type.get(kind, []):
            if r["values"][attribute] != good:
                yield f"{r['address']}: {attribute} is {r['values'][attribute]}"
    for r in by_type.get("aws_dynamodb_table", []):
        if not block(r["values"], "point_in_time_recovery").get("enabled"):
            yield f"{r['address']}: no point-in-time recovery"
