"""infra/: formatting, validity, each module and each environment against a mock of AWS, and the policies on the plan
of each environment. Left out, in a line, where there is no Terraform."""
import copy
import json
import pathlib
import re
import sys

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


def judge(plan):
    found = tf.resources(plan["planned_values"])
    unknown = {c["address"]: c["change"].get("after_unknown") for c in plan["resource_changes"]}
    variables = {k: v["value"] for k, v in plan["variables"].items() if "value" in v}
    return found, policy.violations(found, variables["customer_key"], variables["deletion_protection"], unknown)


@pytest.mark.parametrize("environment", tf.ENVIRONMENTS)
def test_plan_keeps_the_policies(planner, environment):
    found, findings = judge(planner.plan(environment))
    assert len(found) > 30 and findings == []


def test_plan_of_a_function_keeps_the_policies(planner):
    found, findings = judge(planner.plan("staging", "-var=consumer=lambda", "-var=raw=true", "-var=lambda_zip=main.tf"))
    assert any(r["type"] == "aws_lambda_function" for r in found) and findings == []


def first(found, kind, name=None):
    return next(r["values"] for r in found if r["type"] == kind and name in (None, r["name"]))


def edit_policy(found, kind, name, change):
    values = first(found, kind, name)
    document = json.loads(values["policy"])
    change(document["Statement"])
    values["policy"] = json.dumps(document)


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
    "no tags": (lambda f: first(f, "aws_dynamodb_table").update(tags_all={}), "not tagged"),
    "leases that can be deleted": (lambda f: first(f, "aws_dynamodb_table").update(deletion_protection_enabled=False), "deletion_protection_enabled"),
    "a lake that can be emptied": (lambda f: first(f, "aws_s3_bucket").update(force_destroy=True), "force_destroy"),
    "no guards": (lambda f: f.__setitem__(slice(None), [r for r in f if r["type"] != "terraform_data"]), "no guard"),
    "root in the container": (lambda f: first(f, "aws_ecs_task_definition").update(container_definitions='[{"user": "0", "readonlyRootFilesystem": true}]'), "root"),
    "a shell into the container": (lambda f: first(f, "aws_ecs_service").update(enable_execute_command=True), "come in"),
    "a database": (lambda f: f.append({"address": "aws_db_instance.x", "type": "aws_db_instance", "name": "x", "values": {}}), "no rule knows"),
}


def test_policies_find_mistakes(planner):
    plan = planner.plan("prod")
    missed = []
    for name, (spoil, word) in MISTAKES.items():
        spoilt = copy.deepcopy(plan)
        found = tf.resources(spoilt["planned_values"])
        spoil(found)
        findings = policy.violations(found, True, True, {c["address"]: c["change"].get("after_unknown") for c in plan["resource_changes"]})
        if not any(word in f for f in findings):
            missed.append((name, findings))
    assert missed == []


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
