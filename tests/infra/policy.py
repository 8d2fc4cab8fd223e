"""What every environment must keep, checked on the resources of a plan or of a state: nothing public, everything
encrypted, no wildcard that AWS does not demand, everything tagged, what lasts protected."""
import json

TAGS = {"project", "environment", "managed-by"}
# Types that hold no data and open nothing by themselves. A type that is neither here nor checked below is a finding:
# whoever adds one says how it is kept.
HARMLESS = {
    "aws_appautoscaling_policy", "aws_appautoscaling_target", "aws_athena_named_query", "aws_budgets_budget", "aws_cloudwatch_dashboard",
    "aws_cloudwatch_log_metric_filter", "aws_cloudwatch_log_stream", "aws_cloudwatch_metric_alarm", "aws_ecr_lifecycle_policy",
    "aws_ecs_cluster", "aws_ecs_cluster_capacity_providers", "aws_glue_catalog_database", "aws_glue_catalog_table", "aws_internet_gateway",
    "aws_kms_alias", "aws_lambda_event_source_mapping", "aws_route", "aws_route_table", "aws_route_table_association", "aws_s3_bucket_lifecycle_configuration",
    "aws_s3_bucket_ownership_controls", "aws_s3_bucket_versioning", "aws_sns_topic_subscription", "aws_vpc", "terraform_data",
}
# Wildcards that AWS demands, each with its reason.
ANY_RESOURCE = {
    "ecr:GetAuthorizationToken": "the token is the registry's: AWS takes no resource",
}
# Where the whole world may be named, since AWS itself asks without our account's name.
LAYERS = "-starport-layer-bucket/*"


def listed(x):
    return x if isinstance(x, list) else [] if x is None else [x]


def block(values, name):
    found = listed(values.get(name))
    return found[0] if found else {}


def statements(text):
    return listed(json.loads(text)["Statement"])


def anyone(statement):
    principal = statement.get("Principal")
    return principal == "*" or isinstance(principal, dict) and "*" in listed(principal.get("AWS"))


def check_statement(s, scope, key_policy):
    """The wildcards and principals of one Allow statement; scope: the names, one of which a resource must hold before a wildcard."""
    if s["Effect"] == "Deny":
        return
    actions, targets = listed(s.get("Action")), listed(s.get("Resource"))
    if "NotAction" in s or "NotResource" in s or "NotPrincipal" in s:
        yield "grants by what is not named"
    root = isinstance(s.get("Principal"), dict) and str(s["Principal"].get("AWS", "")).endswith(":root")
    for a in actions:
        if "*" in a and not (key_policy and root and a == "kms:*"):  # else nobody could ever manage the key
            yield f"action {a}"
    for t in targets:
        if t == "*" and not key_policy and not all(a in ANY_RESOURCE for a in actions):  # in a key's policy "*" is the key itself
            yield f"resource * for {', '.join(actions)}"
        if t != "*" and "*" in t and not any(n in t.split("*")[0] for n in scope) and not t.endswith(LAYERS):
            yield f"resource {t} is wider than the environment"
    if anyone(s) and not s.get("Condition") and not all(t.endswith(LAYERS) for t in targets):
        yield "anyone, without a condition"


def check_policy(r, attribute, scope, key_policy=False):
    text = r["values"].get(attribute)
    if text is None:
        # A key's ARN is known only when it is made; those policies are apart, and are checked in the state.
        if r["type"] != "aws_iam_role_policy" or r["name"] != "key":
            yield f"{attribute} is not known in the plan, so nobody can check it"
        return
    for s in statements(text):
        for finding in check_statement(s, scope, key_policy):
            yield f"{attribute}: {s.get('Sid', '')}: {finding}"


def denies_plain_http(text):
    return any(s["Effect"] == "Deny" and anyone(s) and s.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport") == "false"
               for s in statements(text))


def check_resource(r, scope, keyed):
    """Findings about one resource by itself."""
    v, kind = r["values"], r["type"]
    if "tags_all" in v and not TAGS <= set(v["tags_all"] or {}):
        yield f"not tagged: {sorted(TAGS - set(v['tags_all'] or {}))}"
    if kind == "aws_kinesis_stream":
        if v["encryption_type"] != "KMS":
            yield "not encrypted"
    elif kind == "aws_s3_bucket":
        if v.get("acl") not in (None, "private"):
            yield "public"
    elif kind == "aws_s3_bucket_public_access_block":
        if not all(v[k] for k in ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")):
            yield "public access is not blocked"
    elif kind == "aws_s3_bucket_server_side_encryption_configuration":
        how = block(block(v, "rule"), "apply_server_side_encryption_by_default").get("sse_algorithm")
        if how != ("aws:kms" if keyed else "AES256"):
            yield f"encrypted by {how}"
    elif kind == "aws_s3_bucket_policy":
        yield from check_policy(r, "policy", scope)
        if not denies_plain_http(v["policy"]):
            yield "plain HTTP is not denied"
    elif kind == "aws_dynamodb_table":
        if not block(v, "server_side_encryption").get("enabled"):
            yield "no encryption is asked for"
    elif kind == "aws_ecr_repository":
        if block(v, "encryption_configuration").get("encryption_type") != ("KMS" if keyed else "AES256"):
            yield "images are not encrypted as the environment is"
        if v["image_tag_mutability"] != "IMMUTABLE" or not block(v, "image_scanning_configuration").get("scan_on_push"):
            yield "images can be replaced, or are not scanned"
    elif kind == "aws_athena_workgroup":
        config = block(v, "configuration")
        if not block(block(config, "result_configuration"), "encryption_configuration") or not config["enforce_workgroup_configuration"]:
            yield "results are not encrypted, or a client may say otherwise"
        if not config.get("bytes_scanned_cutoff_per_query"):
            yield "no scan limit"
    elif kind == "aws_kms_key":
        yield from check_policy(r, "policy", scope, key_policy=True)
        if not v["enable_key_rotation"]:
            yield "the key is never rotated"
    elif kind == "aws_iam_role":
        yield from check_policy(r, "assume_role_policy", scope)
        for s in statements(v["assume_role_policy"]):
            if anyone(s) or list(s["Principal"]) != ["Service"]:
                yield "assumed by others than a service"
    elif kind == "aws_iam_role_policy":
        yield from check_policy(r, "policy", scope)
    elif kind in ("aws_vpc_endpoint", "aws_sns_topic_policy"):
        yield from check_policy(r, "policy", scope)
        if kind == "aws_sns_topic_policy" and v.get("policy") and not denies_plain_http(v["policy"]):
            yield "plain HTTP is not denied"
    elif kind in ("aws_security_group", "aws_default_security_group"):
        if v.get("ingress") or v.get("egress"):
            yield "rules in the group itself, which nobody checks"
    elif kind == "aws_vpc_security_group_ingress_rule":
        if v.get("cidr_ipv4") or v.get("cidr_ipv6"):
            yield f"open to {v.get('cidr_ipv4') or v.get('cidr_ipv6')}"
        if (v["from_port"], v["to_port"]) != (443, 443):
            yield "other than HTTPS comes in"
    elif kind == "aws_vpc_security_group_egress_rule":
        if (v["from_port"], v["to_port"], v["ip_protocol"]) != (443, 443, "tcp"):
            yield "other than HTTPS goes out"
    elif kind == "aws_subnet":
        if v["map_public_ip_on_launch"]:
            yield "gives everything in it a public address"
    elif kind == "aws_ecs_task_definition":
        for c in json.loads(v["container_definitions"]) if v.get("container_definitions") else []:
            if c.get("user") in (None, "", "root", "0") or not c.get("readonlyRootFilesystem") or c.get("privileged"):
                yield "the container is root, or can write its root"
            if c.get("portMappings"):
                yield "the container listens"
    elif kind == "aws_ecs_service":
        if v["enable_execute_command"] or v.get("load_balancer"):
            yield "somebody can come in"
    elif kind == "aws_lambda_function":
        if v["architectures"] != ["arm64"]:
            yield "not on Arm"
    elif kind not in HARMLESS and kind not in ("aws_cloudwatch_log_group", "aws_sns_topic", "aws_kinesis_firehose_delivery_stream"):
        yield "a type that no rule knows: say in policy.py how it is kept"


def key_unset(r, attribute, unknown):
    """With a customer's key, the attribute is set, or will be (not known in the plan)."""
    return not r["values"].get(attribute) and not (unknown.get(r["address"], {}) or {}).get(attribute)


KEYED = {"aws_cloudwatch_log_group": "kms_key_id", "aws_sns_topic": "kms_master_key_id", "aws_lambda_function": "kms_key_arn", "aws_kinesis_stream": "kms_key_id"}


def violations(found, keyed, protected, unknown=None):
    """Findings, each "address: what is wrong". found: resources; unknown: by address, the attributes known only after apply."""
    by_type = {}
    for r in found:
        by_type.setdefault(r["type"], []).append(r)
    names = {r["values"]["name"] for r in by_type.get("aws_ecs_cluster", []) + by_type.get("aws_athena_workgroup", [])}
    scope = names | {n.replace("-", "_") for n in names} | {r["values"]["bucket"] for r in by_type.get("aws_s3_bucket", [])}
    out = []
    for r in found:
        out += [f"{r['address']}: {f}" for f in check_resource(r, scope, keyed)]
        attribute = KEYED.get(r["type"])
        if attribute and (keyed or r["type"] in ("aws_sns_topic", "aws_kinesis_stream")) and key_unset(r, attribute, unknown or {}):
            out.append(f"{r['address']}: not encrypted with a key")
    buckets = len(by_type.get("aws_s3_bucket", []))
    for needed in ("aws_s3_bucket_public_access_block", "aws_s3_bucket_policy", "aws_s3_bucket_server_side_encryption_configuration", "aws_s3_bucket_versioning"):
        if len(by_type.get(needed, [])) != buckets:
            out.append(f"{needed}: not for every bucket")
    if not by_type.get("aws_default_security_group") and by_type.get("aws_vpc"):
        out.append("aws_vpc: its default security group is open")
    if protected:
        out += unprotected(by_type)
    return out


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
