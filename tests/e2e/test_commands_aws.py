"""init, doctor and lambda's mapping on (a local) AWS: Glue, DynamoDB, Lambda, and what they refuse."""
import io
import json
import zipfile

import pytest

from conftest import run
from test_commands import checks


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
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
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
