"""init, doctor and lambda's mapping on (a local) AWS: Glue, DynamoDB, Lambda, and what they refuse."""
import io
import json
import zipfile

import pytest

from conftest import Lake, run
from test_commands import checks
from test_lambda import OK, SHARD, Function, batch
from test_run import make, put


def places(lake, name):
    return ["--lake", lake.path, "--catalog", f"glue://{name}", "--leases", f"dynamodb://{name}-leases"]


def states(r):
    return {o["object"] if o["object"] != "table" else o["name"]: o["state"] for o in json.loads(r.stdout)["objects"]}


def test_init(lake, aws):
    client, env = aws
    args = ["init", *places(lake, "begun"), "--json"]
    run("init", "--lake", lake.path)  # the directory is there; Glue and DynamoDB are empty
    dry = states(run(*args, "--dry-run", env=env))
    assert dry == {"lake": "exists", "catalog": "exists", "namespace": "to be made", "inlet_dead_letters": "to be made", "leases": "to be made"}
    names = lambda: ([d["Name"] for d in client("glue").get_databases()["DatabaseList"]], client("dynamodb").list_tables()["TableNames"])
    assert "begun" not in names()[0] and "begun-leases" not in names()[1], "a dry run makes nothing"
    made = states(run(*args, env=env))
    assert made == {**dry, "namespace": "made", "inlet_dead_letters": "made", "leases": "made"}
    assert "begun" in names()[0] and "begun-leases" in names()[1]
    assert set(states(run(*args, env=env)).values()) == {"exists"}
    table = client("glue").get_table(DatabaseName="begun", Name="inlet_dead_letters")["Table"]
    assert table["Parameters"]["table_type"].upper() == "ICEBERG"


def test_doctor(lake, aws):
    client, env = aws
    args = ["doctor", *places(lake, "looked"), "--json"]
    run("init", *places(lake, "looked"), env=env)
    version = client("glue").get_table(DatabaseName="looked", Name="inlet_dead_letters")["Table"]["VersionId"]
    c = checks(run(*args, env=env))
    assert c["catalog"][0][0] == c["catalog commit"][0][0] == c["leases"][0][0] == "ok"
    assert client("glue").get_table(DatabaseName="looked", Name="inlet_dead_letters")["Table"]["VersionId"] != version
    assert client("dynamodb").scan(TableName="looked-leases")["Items"] == [], "the probe lease is gone"
    c = checks(run("doctor", *places(lake, "absent"), "--json", env=env, check=False))
    assert c["leases"][0][0] == "failed" and c["leases"][0][2] == "run `inlet init`"
    assert c["catalog"][0][0] == "failed" or c["catalog commit"][0][0] != "ok"


def test_what_is_denied_is_named(lake, aws, faults):
    _, env = aws
    run("init", *places(lake, "denied"), env=env)
    through = {**env, "AWS_ENDPOINT_URL": faults.url}
    for action, what in (("Glue.UpdateTable", "catalog commit"), ("Glue.GetTables", "catalog"), ("DynamoDB_20120810.UpdateItem", "leases")):
        faults.clear()
        faults.add({"fault": "status", "target": action, "status": 400, "code": "AccessDeniedException"})
        c = checks(run("doctor", *places(lake, "denied"), "--json", env=through, check=False))
        assert c[what][0][0] == "failed", (action, c)
        assert action.split(".")[1] in c[what][0][1] + c[what][0][2], c[what]


def test_mapping(lake, aws):
    client, env = aws
    kinesis, functions, iam = client("kinesis"), client("lambda"), client("iam")
    kinesis.create_stream(StreamName="mapped", ShardCount=1)
    arn = kinesis.describe_stream_summary(StreamName="mapped")["StreamDescriptionSummary"]["StreamARN"]
    role = iam.create_role(RoleName="doctor", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as z:
        z.writestr("bootstrap", "#!/bin/sh\n")
    functions.create_function(FunctionName="inlet", Runtime="provided.al2023", Role=role, Handler="bootstrap", Code={"ZipFile": code.getvalue()})
    run("init", "--lake", lake.path)
    args = ["doctor", "--lake", lake.path, "--stream", "kinesis://mapped", "--function", "inlet", "--json"]
    c = checks(run(*args, env=env, check=False))
    assert c["event source"] == [("failed", "the function has no mapping of the stream", "aws lambda create-event-source-mapping")]
    functions.create_event_source_mapping(EventSourceArn=arn, FunctionName="inlet", StartingPosition="TRIM_HORIZON",
                                          ParallelizationFactor=2)
    c = checks(run(*args, env=env, check=False))
    assert ("failed", "a shard's batches are not given in order", "set ParallelizationFactor to 1") in c["event source"]



def bucket(aws, name):
    aws[0]("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": aws[1]["AWS_REGION"]})
    return ["--lake", f"s3://{name}/lake", "--catalog", f"glue://{name}".replace("-", "_"), "--leases", f"dynamodb://{name}"]


def test_everything_in_aws(aws, tmp_path):
    """init, doctor, a worker, status, verify and replay, with nothing on this machine."""
    client, env = aws
    at = bucket(aws, "all-in-aws")
    assert set(states(run("init", *at, "--json", env=env)).values()) == {"exists", "made"}
    client("kinesis").create_stream(StreamName="all-in-aws", ShardCount=1)
    stream = ["--stream", "kinesis://all-in-aws"]
    c = checks(run("doctor", *at, *stream, "--json", env=env))
    assert all(c[what][0][0] == "ok" for what in ("lake", "catalog", "catalog commit", "leases", "stream", "stream reading", "clock"))
    assert [o["Key"] for o in client("s3").list_objects_v2(Bucket="all-in-aws").get("Contents", []) if "doctor" in o["Key"]] == []
    events = make(30) + [{**e, "event_name": "other"} for e in make(5)]
    put(client("kinesis"), "all-in-aws", events)
    run("run", *at, *stream, "--until-caught-up", "--max-tables", "1", env=env)
    s = json.loads(run("status", *at, *stream, "--json", env=env).stdout)
    assert {t["table"]: t["rows"] for t in s["tables"]} == {"inlet_dead_letters": 5, "order": 30}
    assert s["shards"][0]["checkpoint"] == s["shards"][0]["greatest_position"]
    assert json.loads(run("replay", *at[:4], "--json", env=env).stdout)["rows_committed"] == 5
    v = {t["table"]: t for t in json.loads(run("verify", *at[:4], "--json", env=env).stdout)["tables"]}
    assert v["other"]["rows"] == 5 and v["order"]["stream_rows"] == 30 and not any(t["problems"] for t in v.values())


def test_lambda_in_aws(aws, tmp_path):
    client, env = aws
    at = bucket(aws, "lambda-in-aws")
    client("kinesis").create_stream(StreamName="lambda-in-aws", ShardCount=1)
    arn = client("kinesis").describe_stream_summary(StreamName="lambda-in-aws")["StreamDescriptionSummary"]["StreamARN"]
    f = Function(Lake(tmp_path / "unused"), env, *at[2:4], INLET_LAKE=at[1])
    try:
        events = make(40)
        assert f(arn, SHARD, batch(events[:25])) == OK
        assert f(arn, SHARD, batch(events[10:], 10)) == OK
    finally:
        f.end()
    v = {t["table"]: t for t in json.loads(run("verify", *at[:4], "--json", env=env).stdout)["tables"]}
    assert v["order"]["rows"] == v["order"]["stream_rows"] == 40 and v["order"]["duplicates"] == v["order"]["problems"] == 0


def test_a_bucket_that_is_not_there(aws):
    _, env = aws
    at = ["--lake", "s3://not-there/lake", "--catalog", "glue://not_there", "--leases", "dynamodb://not-there"]
    r = run("init", *at, "--json", env=env, check=False)
    assert r.returncode == 1 and states(r) == {"lake": "failed"}
    c = checks(run("doctor", *at, "--json", env=env, check=False))
    assert c["lake"][0][0] == "failed" and "bucket" in c["lake"][0][1] + (c["lake"][0][2] or "")
