"""infra/: formatting, validity, each module and each environment against a mock of AWS, and the policies on the plan
of each environment. Left out, in a line, where there is no Terraform."""
import copy
import json
import pathlib
import re
import sys

import boto3
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import policy  # noqa: E402
import tf  # noqa: E402


@pytest.fixture(scope="module")
def terraform(tmp_path_factory):
    try:
        return tf.Terraform(tmp_path_factory.mktemp("tf"))
    except tf.Missing as e:
        pytest.skip(str(e))


@pytest.fixture(scope="module")
def planner(tmp_path_factory):
    """Plans against the stand-in: nothing is made."""
    proc, env = tf.standin()
    try:
        yield tf.Terraform(tmp_path_factory.mktemp("plans"), env)
    except tf.Missing as e:
        pytest.skip(str(e))
    finally:
        proc.terminate()
        proc.wait()


def passed(r):
    assert r.returncode == 0, r.stdout[-4000:] + r.stderr[-2000:]
    return int(re.search(r"Success! (\d+) passed, 0 failed", r.stdout).group(1))


def test_formatted_and_valid(terraform):
    assert terraform.run("fmt", "-check", "-recursive", "-diff", check=False).stdout == ""
    terraform.run("validate")
    terraform.run("-chdir=bootstrap", "init", "-input=false")
    terraform.run("-chdir=bootstrap", "validate")


def test_modules(terraform):
    runs = sum(p.read_text().count('\nrun "') for p in (terraform.root / "tests").glob("*.tftest.hcl"))
    assert passed(terraform.run("test", check=False)) == runs


@pytest.mark.parametrize("environment", tf.ENVIRONMENTS)
def test_environment(terraform, environment):
    passed(terraform.run("test", "-test-directory=tests/environments", f"-var-file=environments/{environment}.tfvars", check=False))


def test_other_forms(terraform):
    """A function instead of a worker, an existing stream and bucket, names that AWS refuses."""
    assert passed(terraform.run("test", "-test-directory=tests/forms", "-var-file=environments/dev.tfvars", check=False)) == 3


def judge(plan, theirs=()):
    found = tf.resources(plan["planned_values"])
    unknown = {c["address"]: c["change"].get("after_unknown") for c in plan["resource_changes"]}
    variables = {k: v["value"] for k, v in plan["variables"].items() if "value" in v}
    return found, policy.violations(found, variables["customer_key"], variables["deletion_protection"], unknown, variables["network"] == "private", theirs)


@pytest.mark.parametrize("environment", tf.ENVIRONMENTS)
def test_plan_keeps_the_policies(planner, environment):
    found, findings = judge(planner.plan(environment))
    assert len(found) > 30 and findings == []


def test_plan_of_a_function_keeps_the_policies(planner):
    found, findings = judge(planner.plan("staging", "-var=consumer=lambda", "-var=raw=true", "-var=lambda_zip=main.tf"))
    assert any(r["type"] == "aws_lambda_function" for r in found) and findings == []


def test_the_bucket_of_states_keeps_the_policies(planner):
    planner.run("-chdir=bootstrap", "init", "-input=false")
    planner.run("-chdir=bootstrap", "plan", "-input=false", "-var=bucket=inlet-tfstate-123456789012-eu-west-1", "-out=plan")
    found = tf.resources(json.loads(planner.run("-chdir=bootstrap", "show", "-json", "plan").stdout)["planned_values"])
    assert {r["type"] for r in found} >= {"aws_s3_bucket_policy", "aws_s3_bucket_versioning"}
    assert policy.violations(found, keyed=False, protected=False) == []
    assert first(found, "aws_s3_bucket")["force_destroy"] is False


def first(found, kind, name=None):
    return next(r["values"] for r in found if r["type"] == kind and name in (None, r["name"]))


def edit_policy(found, kind, name, change):
    values = first(found, kind, name)
    document = json.loads(values["policy"])
    change(document["Statement"])
    values["policy"] = json.dumps(document)


def add_statement(found, kind, name, **statement):
    """One more Allow; BUCKET stands for the lake's ARN."""
    arn = "arn:aws:s3:::" + first(found, "aws_s3_bucket")["bucket"]
    allow = json.loads(json.dumps({"Effect": "Allow", **statement}).replace("BUCKET", arn))
    edit_policy(found, kind, name, lambda statements: statements.append(allow))


OTHER = "arn:aws:iam::999999999999:root"
CONTAINER = {"user": "65532:65532", "readonlyRootFilesystem": True, "linuxParameters": {"capabilities": {"drop": ["ALL"]}}}
# What somebody might do to prod, and a word of what must be said then.
MISTAKES = {
    "bucket open to the public": (lambda f: first(f, "aws_s3_bucket_public_access_block").update(block_public_policy=False), "not blocked"),
    "bucket without encryption": (lambda f: first(f, "aws_s3_bucket_server_side_encryption_configuration").update(rule=[]), "encrypted by None"),
    "stream without encryption": (lambda f: first(f, "aws_kinesis_stream").update(encryption_type="NONE"), "not encrypted"),
    "plain HTTP to the bucket": (lambda f: edit_policy(f, "aws_s3_bucket_policy", None, lambda s: s.pop(0)), "plain HTTP"),
    "every action of S3": (lambda f: edit_policy(f, "aws_iam_role_policy", "run", lambda s: s[1].update(Action="s3:*")), "action s3:*"),
    "every bucket": (lambda f: edit_policy(f, "aws_iam_role_policy", "run", lambda s: s[1].update(Resource="*")), "resource *"),
    "every table of Glue": (lambda f: edit_policy(f, "aws_iam_role_policy", "run", lambda s: s[3].update(Resource="arn:aws:glue:eu-west-1:1:table/*")), "wider"),
    "all but a few actions": (lambda f: edit_policy(f, "aws_iam_role_policy", "run", lambda s: s[0].update(NotAction="x")), "not named"),
    "anyone through the endpoint": (lambda f: edit_policy(f, "aws_vpc_endpoint", "s3", lambda s: s[0].pop("Condition")), "anyone"),
    "a role for anyone": (lambda f: first(f, "aws_iam_role").update(assume_role_policy='{"Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}'), "assumed by"),
    "a door": (lambda f: first(f, "aws_vpc_security_group_ingress_rule").update(cidr_ipv4="0.0.0.0/0"), "open to 0.0.0.0/0"),
    "another way out": (lambda f: first(f, "aws_vpc_security_group_egress_rule").update(to_port=65535), "other than HTTPS"),
    "a door in the group itself": (lambda f: first(f, "aws_security_group").update(ingress=[{"cidr_blocks": ["0.0.0.0/0"], "from_port": 443, "to_port": 443, "protocol": "tcp"}]), "open to 0.0.0.0/0"),
    "all ways out in the group itself": (lambda f: first(f, "aws_security_group").update(egress=[{"cidr_blocks": ["0.0.0.0/0"], "from_port": 0, "to_port": 0, "protocol": "-1"}]), "other than HTTPS goes out"),
    "the default group open": (lambda f: first(f, "aws_default_security_group").update(egress=[{"from_port": 0}]), "own group is open"),
    "no tags": (lambda f: first(f, "aws_dynamodb_table").update(tags_all={}), "not tagged"),
    "leases that can be deleted": (lambda f: first(f, "aws_dynamodb_table").update(deletion_protection_enabled=False), "deletion_protection_enabled"),
    "a lake that can be emptied": (lambda f: first(f, "aws_s3_bucket").update(force_destroy=True), "force_destroy"),
    "no guards": (lambda f: f.__setitem__(slice(None), [r for r in f if r["type"] != "terraform_data"]), "no guard"),
    "root in the container": (lambda f: first(f, "aws_ecs_task_definition").update(container_definitions=json.dumps([{**CONTAINER, "user": "0"}])), "root"),
    "a shell into the container": (lambda f: first(f, "aws_ecs_service").update(enable_execute_command=True), "come in"),
    "a database": (lambda f: f.append({"address": "aws_db_instance.x", "type": "aws_db_instance", "name": "x", "values": {}}), "no rule knows"),
    "a bucket that forgets versions": (lambda f: first(f, "aws_s3_bucket_versioning").update(versioning_configuration=[{"status": "Suspended"}]), "not versioned"),
    "a lake that expires": (lambda f: first(f, "aws_s3_bucket_lifecycle_configuration")["rule"].append({"id": "x", "filter": [{"prefix": "lake/"}], "expiration": [{"days": 90}]}), "deletes lake/"),
    "a bucket that expires": (lambda f: first(f, "aws_s3_bucket_lifecycle_configuration")["rule"].append({"id": "x", "filter": [{}], "expiration": [{"days": 90}]}), "deletes everything"),
    "objects of others' own": (lambda f: first(f, "aws_s3_bucket_ownership_controls").update(rule=[{"object_ownership": "ObjectWriter"}]), "own their objects"),
    "a bucket for another account": (lambda f: add_statement(f, "aws_s3_bucket_policy", None, Principal={"AWS": OTHER}, Action="s3:GetObject", Resource="BUCKET/*"), "other accounts"),
    "a bucket for anyone on TLS": (lambda f: add_statement(f, "aws_s3_bucket_policy", None, Principal="*", Action="s3:GetObject", Resource="BUCKET/*", Condition={"Bool": {"aws:SecureTransport": "true"}}), "anyone"),
    "a bucket for anyone by name": (lambda f: add_statement(f, "aws_s3_bucket_policy", None, Principal={"AWS": ["*"]}, Action="s3:GetObject", Resource="BUCKET/*", Condition={"StringLike": {"aws:PrincipalAccount": "*"}}), "anyone"),
    "a bucket for every service": (lambda f: add_statement(f, "aws_s3_bucket_policy", None, Principal={"Service": "*"}, Action="s3:GetObject", Resource="BUCKET/*"), "principal"),
    "a bucket for a federation": (lambda f: add_statement(f, "aws_s3_bucket_policy", None, Principal={"Federated": "*"}, Action="s3:GetObject", Resource="BUCKET/*"), "principal"),
    "plain HTTP to objects": (lambda f: edit_policy(f, "aws_s3_bucket_policy", None, lambda s: s[0].update(Resource=s[0]["Resource"][0])), "plain HTTP"),
    "plain HTTP for reading": (lambda f: edit_policy(f, "aws_s3_bucket_policy", None, lambda s: s[0].update(Action="s3:PutObject")), "plain HTTP"),
    "plain HTTP on Sundays": (lambda f: edit_policy(f, "aws_s3_bucket_policy", None, lambda s: s[0]["Condition"].update(StringEquals={"aws:UserAgent": "x"})), "plain HTTP"),
    "an action with a question mark": (lambda f: edit_policy(f, "aws_iam_role_policy", "run", lambda s: s[1].update(Action="s3:GetObjec?")), "action s3:GetObjec?"),
    "a bucket with a question mark": (lambda f: edit_policy(f, "aws_iam_role_policy", "run", lambda s: s[1].update(Resource="arn:aws:s3:::?nlet/x")), "wider"),
    "buckets that begin like ours": (lambda f: edit_policy(f, "aws_iam_role_policy", "run", lambda s: s[1].update(Resource="arn:aws:s3:::inlet-prod*")), "wider"),
    "somebody's bucket": (lambda f: edit_policy(f, "aws_iam_role_policy", "run", lambda s: s[1].update(Resource="arn:aws:s3:::payroll/secret")), "none of ours"),
    "another account's stream": (lambda f: edit_policy(f, "aws_iam_role_policy", "run", lambda s: s[0].update(Resource="arn:aws:kinesis:eu-west-1:999999999999:stream/inlet-prod")), "other accounts"),
    "roles that give roles": (lambda f: add_statement(f, "aws_iam_role_policy", "run", Action="iam:PassRole", Resource="arn:aws:iam::123456789012:role/inlet-prod"), "action iam:PassRole"),
    "a table dropped": (lambda f: add_statement(f, "aws_iam_role_policy", "run", Action=["glue:DeleteTable"], Resource="arn:aws:glue:eu-west-1:123456789012:table/inlet_prod/x"), "action glue:DeleteTable"),
    "a bucket's policy rewritten": (lambda f: add_statement(f, "aws_iam_role_policy", "run", Action="s3:PutBucketPolicy", Resource="BUCKET"), "action s3:PutBucketPolicy"),
    "an administrator": (lambda f: first(f, "aws_iam_role").update(managed_policy_arns=["arn:aws:iam::aws:policy/AdministratorAccess"]), "managed policies"),
    "a policy in the role": (lambda f: first(f, "aws_iam_role").update(inline_policy=[{"name": "x", "policy": '{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'}]), "action *"),
    "an attached policy": (lambda f: f.append({"address": "aws_iam_role_policy_attachment.x", "type": "aws_iam_role_policy_attachment", "name": "x", "values": {}}), "no rule knows"),
    "a role for any machine": (lambda f: first(f, "aws_iam_role").update(assume_role_policy='{"Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}'), "assumed by"),
    "a key for another account": (lambda f: add_statement(f, "aws_kms_key", None, Principal={"AWS": OTHER}, Action="kms:*", Resource="*"), "other accounts"),
    "a key for anyone": (lambda f: add_statement(f, "aws_kms_key", None, Principal="*", Action="kms:Decrypt", Resource="*", Condition={"Bool": {"aws:SecureTransport": "true"}}), "anyone"),
    "AWS's key for the stream": (lambda f: first(f, "aws_kinesis_stream").update(kms_key_id="alias/aws/kinesis"), "not encrypted with a key"),
    "results under another key": (lambda f: first(f, "aws_athena_workgroup")["configuration"][0]["result_configuration"][0].update(encryption_configuration=[{"encryption_option": "SSE_S3"}]), "results are not encrypted"),
    "UDP comes in": (lambda f: first(f, "aws_vpc_security_group_ingress_rule").update(ip_protocol="udp"), "other than HTTPS comes in"),
    "a way out of the private network": (lambda f: f.append({"address": "aws_internet_gateway.x", "type": "aws_internet_gateway", "name": "x", "values": {"tags_all": dict.fromkeys(policy.TAGS, "x")}}), "way out"),
    "a public address in the private network": (lambda f: first(f, "aws_ecs_service")["network_configuration"][0].update(assign_public_ip=True), "way out"),
    "a password in the environment": (lambda f: first(f, "aws_ecs_task_definition").update(container_definitions=json.dumps([{**CONTAINER, "environment": [{"name": "INLET_CATALOG_TOKEN", "value": "x"}]}])), "a secret"),
    "capabilities": (lambda f: first(f, "aws_ecs_task_definition").update(container_definitions=json.dumps([{**CONTAINER, "linuxParameters": {"capabilities": {"add": ["SYS_ADMIN"], "drop": ["ALL"]}}}])), "capabilities"),
    "the host's network": (lambda f: first(f, "aws_ecs_task_definition").update(network_mode="host"), "network of its own"),
    "a log kept for ever": (lambda f: first(f, "aws_cloudwatch_log_group").update(retention_in_days=0), "for ever"),
    "alarms to anybody": (lambda f: f.append({"address": "aws_sns_topic_subscription.x", "type": "aws_sns_topic_subscription", "name": "x", "values": {"protocol": "http", "endpoint": "http://example.invalid"}}), "told by http"),
    "a queue": (lambda f: f.append({"address": "aws_sqs_queue.x", "type": "aws_sqs_queue", "name": "x", "values": {}}), "no rule knows"),
    "a bucket made public by its list": (lambda f: f.append({"address": "aws_s3_bucket_acl.x", "type": "aws_s3_bucket_acl", "name": "x", "values": {"acl": "public-read"}}), "no rule knows"),
    "the lease table's key dropped": (lambda f: first(f, "aws_dynamodb_table").update(server_side_encryption=[]), "no encryption"),
    "untagged leases": (lambda f: first(f, "aws_dynamodb_table").update(tags_all=None), "not tagged"),
    "a second bucket, bare": (lambda f: f.append({"address": "aws_s3_bucket.x", "type": "aws_s3_bucket", "name": "x", "values": {"bucket": "x", "force_destroy": False, "tags_all": dict.fromkeys(policy.TAGS, "x")}}), "not for every bucket"),
}


def test_policies_find_mistakes(planner):
    plan = planner.plan("prod")
    missed = []
    for name, (spoil, word) in MISTAKES.items():
        spoilt = copy.deepcopy(plan)
        found = tf.resources(spoilt["planned_values"])
        spoil(found)
        findings = policy.violations(found, True, True, {c["address"]: c["change"].get("after_unknown") for c in plan["resource_changes"]}, private=True)
        if not any(word in f for f in findings):
            missed.append((name, findings))
    assert missed == [], "\n".join(f"{name}: {findings}" for name, findings in missed)


def test_an_existing_stream_and_bucket_are_used_and_left_alone(tmp_path):
    """Made on the stand-in: roles name them, a second plan is empty, and both are as they were when all the rest is gone."""
    proc, env = tf.standin()
    try:
        terraform = tf.Terraform(tmp_path, env)
        client = lambda name: boto3.client(name, endpoint_url=env["AWS_ENDPOINT_URL"], region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
        kinesis, s3 = client("kinesis"), client("s3")
        kinesis.create_stream(StreamName="theirs", ShardCount=2)
        s3.create_bucket(Bucket="their-bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_object(Bucket="their-bucket", Key="theirs", Body=b"x")
        arn = kinesis.describe_stream_summary(StreamName="theirs")["StreamDescriptionSummary"]["StreamARN"]
        using = (f"-var=existing_stream_arn={arn}", "-var=existing_bucket=their-bucket", "-var=raw=true")
        found, findings = judge(terraform.plan("dev", *using), ("their-bucket",))
        assert findings == [] and not any(r["type"] in ("aws_kinesis_stream", "aws_s3_bucket") for r in found)
        arguments = ("-input=false", "-var-file=environments/dev.tfvars", *using)
        terraform.run("apply", "-auto-approve", *arguments)
        assert terraform.run("plan", "-detailed-exitcode", *arguments, check=False).returncode == 0
        iam = client("iam")
        allowed = json.dumps(iam.get_role_policy(RoleName="inlet-dev-run-eu-west-1", PolicyName="run")["PolicyDocument"])
        assert arn in allowed and "arn:aws:s3:::their-bucket/lake/*" in allowed
        terraform.run("destroy", "-auto-approve", *arguments)
        assert kinesis.list_streams()["StreamNames"] == ["theirs"] and [b["Name"] for b in s3.list_buckets()["Buckets"]] == ["their-bucket"]
        assert kinesis.describe_stream_summary(StreamName="theirs")["StreamDescriptionSummary"]["EncryptionType"] == "NONE"
        assert [o["Key"] for o in s3.list_objects_v2(Bucket="their-bucket")["Contents"]] == ["theirs"]
        assert "Status" not in s3.get_bucket_versioning(Bucket="their-bucket")
    except tf.Missing as e:
        pytest.skip(str(e))
    finally:
        proc.terminate()
        proc.wait()


def test_protected_streams_and_lakes_are_not_deleted(tmp_path):
    """The guards, for real: made on the stand-in, then a plan that would delete or replace is refused."""
    proc, env = tf.standin()
    try:
        terraform = tf.Terraform(tmp_path, env)
        apply = ("apply", "-input=false", "-auto-approve", "-target=module.stream", "-var-file=environments/dev.tfvars")
        terraform.run(*apply, "-var=deletion_protection=true")
        for args in (("destroy", "-auto-approve", "-var-file=environments/dev.tfvars", "-target=module.stream"),
                     (*apply, "-var=deletion_protection=true", "-var=project=other")):
            r = terraform.run(*args, check=False)
            assert r.returncode != 0 and "prevent_destroy" in r.stdout + r.stderr, r.stdout
    except tf.Missing as e:
        pytest.skip(str(e))
    finally:
        proc.terminate()
        proc.wait()
