"""The stand-ins themselves: what they add to moto, asked with boto3, and what the fault proxy does."""
import json
import threading
import urllib.error
import urllib.request
import zlib

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ResponseStreamingError

from conftest import clients

COLUMNS = {"StorageDescriptor": {"Columns": [{"Name": "a", "Type": "string"}]}}


@pytest.fixture
def client(aws):
    return aws[0]


def refused(code, call, **kw):
    with pytest.raises(ClientError) as e:
        call(**kw)
    assert e.value.response["Error"]["Code"] == code
    return e.value


# ---- Glue

def test_glue_updates_only_the_version_that_is_meant(client):
    glue = client("glue")
    glue.create_database(DatabaseInput={"Name": "versions"})
    glue.create_table(DatabaseName="versions", TableInput={"Name": "t", **COLUMNS})
    version = lambda: glue.get_table(DatabaseName="versions", Name="t")["Table"]["VersionId"]
    first = version()
    glue.update_table(DatabaseName="versions", TableInput={"Name": "t", **COLUMNS}, VersionId=first)
    assert version() != first
    refused("ConcurrentModificationException", glue.update_table, DatabaseName="versions",
            TableInput={"Name": "t", **COLUMNS}, VersionId=first)
    assert len(glue.get_table_versions(DatabaseName="versions", TableName="t")["TableVersions"]) == 2
    glue.update_table(DatabaseName="versions", TableInput={"Name": "t", **COLUMNS}, VersionId=version(), SkipArchive=True)
    assert len(glue.get_table_versions(DatabaseName="versions", TableName="t")["TableVersions"]) == 2


def test_glue_gives_a_race_one_winner(client):
    glue = client("glue", max_pool_connections=16)
    glue.create_database(DatabaseInput={"Name": "race"})
    glue.create_table(DatabaseName="race", TableInput={"Name": "t", **COLUMNS})
    won = []

    def update():
        for _ in range(10):
            version = glue.get_table(DatabaseName="race", Name="t")["Table"]["VersionId"]
            try:
                glue.update_table(DatabaseName="race", TableInput={"Name": "t", **COLUMNS}, VersionId=version)
                won.append(version)
            except ClientError as e:
                assert e.response["Error"]["Code"] == "ConcurrentModificationException"
    threads = [threading.Thread(target=update) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(set(won)) == len(won) == int(glue.get_table(DatabaseName="race", Name="t")["Table"]["VersionId"]) - 1


# ---- Kinesis

def stream(client, name, shards=1, **kw):
    k = client("kinesis", max_pool_connections=16)
    k.create_stream(StreamName=name, ShardCount=shards, **kw)
    return k


def pages(k, name, shard, limit=None):
    """Every answer from the shard's start to its tip or its end."""
    it = k.get_shard_iterator(StreamName=name, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    while it:
        r = k.get_records(ShardIterator=it, **({"Limit": limit} if limit else {}))
        yield r
        it = r.get("NextShardIterator")
        if it and not r["Records"]:
            return


def test_kinesis_pages_end_at_ten_megabytes_and_ten_thousand_records(client):
    k = stream(client, "pages", 2)
    big = b"x" * ((1 << 20) - 1000)
    for _ in range(3):
        k.put_records(StreamName="pages", Records=[{"Data": big, "PartitionKey": "a", "ExplicitHashKey": "0"}] * 4)
    sizes = [len(r["Records"]) for r in pages(k, "pages", "shardId-000000000000")]
    assert sizes == [10, 2, 0]
    for _ in range(21):
        k.put_records(StreamName="pages", Records=[{"Data": b"y", "PartitionKey": "a", "ExplicitHashKey": str(2**128 - 1)}] * 500)
    sizes = [len(r["Records"]) for r in pages(k, "pages", "shardId-000000000001")]
    assert sizes == [10000, 500, 0]


def test_kinesis_shards_end_and_name_their_children(client):
    k = stream(client, "reshard")
    parent = "shardId-000000000000"
    put = lambda n: [k.put_record(StreamName="reshard", Data=b"%d" % i, PartitionKey=str(i)) for i in n]
    put(range(5))
    k.split_shard(StreamName="reshard", ShardToSplit=parent, NewStartingHashKey=str(2**127))
    put(range(5, 25))
    got = list(pages(k, "reshard", parent))
    assert sorted(int(r["Data"]) for p in got for r in p["Records"]) == list(range(5))  # they stayed
    children = sorted(c["ShardId"] for c in got[-1]["ChildShards"])
    assert "NextShardIterator" not in got[-1] and len(children) == 2
    assert k.describe_stream_summary(StreamName="reshard")["StreamDescriptionSummary"]["OpenShardCount"] == 2
    k.merge_shards(StreamName="reshard", ShardToMerge=children[1], AdjacentShardToMerge=children[0])  # in either order
    put(range(25, 30))
    ends = [list(pages(k, "reshard", c))[-1] for c in children]
    merged = {c["ShardId"] for end in ends for c in end["ChildShards"]}
    assert len(merged) == 1 and ends[0]["ChildShards"][0]["ParentShards"] == children
    seen = [int(r["Data"]) for s in children + list(merged) for p in pages(k, "reshard", s) for r in p["Records"]]
    assert sorted(seen) == list(range(5, 30))
    whole = next(s for s in k.list_shards(StreamName="reshard")["Shards"] if s["ShardId"] in merged)
    assert whole["HashKeyRange"] == {"StartingHashKey": "0", "EndingHashKey": str(2**128 - 1)}


def test_kinesis_puts_of_many_clients_do_not_overwrite_each_other(client):
    k = stream(client, "many", Tags={"team": "data"})
    assert k.list_tags_for_stream(StreamName="many")["Tags"] == [{"Key": "team", "Value": "data"}]
    numbers = []

    def put():
        for _ in range(15):
            r = k.put_records(StreamName="many", Records=[{"Data": b"x", "PartitionKey": "a"}] * 20)
            numbers.extend(x["SequenceNumber"] for x in r["Records"])
    threads = [threading.Thread(target=put) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(numbers) == len(set(numbers)) == 8 * 15 * 20
    assert sum(len(p["Records"]) for p in pages(k, "many", "shardId-000000000000")) == len(numbers)


def test_kinesis_speaks_cbor_to_those_who_do(aws, client):
    k = stream(client, "cbor")
    k.put_record(StreamName="cbor", Data=b"hi", PartitionKey="a")
    shown = next(pages(k, "cbor", "shardId-000000000000"))["Records"][0]
    iterator = k.get_shard_iterator(StreamName="cbor", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON")["ShardIterator"].encode()

    def ask(iterator):
        body = b"\xbf\x65Limit\x05\x6dShardIterator\x79" + len(iterator).to_bytes(2, "big") + iterator + b"\xff"
        return urllib.request.Request(aws[1]["AWS_ENDPOINT_URL"], body, {
            "Content-Type": "application/x-amz-cbor-1.1", "X-Amz-Target": "Kinesis_20131202.GetRecords",
            "Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/eu-west-1/kinesis/aws4_request"})
    with urllib.request.urlopen(ask(iterator)) as r:
        answer = r.read()
        assert r.headers["Content-Type"] == "application/x-amz-cbor-1.1" and answer[0] == 0xbf and answer[-1] == 0xff
    millis = round(shown["ApproximateArrivalTimestamp"].timestamp() * 1000)
    assert b"\x67Records\x9f" in answer and b"\x64Data\x42hi" in answer and b"\x72MillisBehindLatest\x00" in answer
    assert b"\x78\x1bApproximateArrivalTimestamp\xc1\x1b" + millis.to_bytes(8, "big") in answer
    assert b"\x6eSequenceNumber\x61" + shown["SequenceNumber"].encode() in answer  # moto counts from 1
    with pytest.raises(urllib.error.HTTPError) as e:
        urllib.request.urlopen(ask(b"none"))
    assert e.value.code >= 400


# ---- S3

def test_s3_checks_what_is_said_of_a_body(aws, client):
    s3 = client("s3")
    s3.create_bucket(Bucket="checks", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    def put(**headers):
        request = urllib.request.Request(aws[1]["AWS_ENDPOINT_URL"] + "/checks/k", data=b"body", method="PUT", headers={
            "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/s3/aws4_request", "Content-Type": "x/y", **headers})
        try:
            return urllib.request.urlopen(request).status
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode().split("<Code>")[1].split("<")[0]
    assert put() == 200
    assert put(**{"x-amz-content-sha256": "0" * 64}) == (400, "XAmzContentSHA256Mismatch")
    assert put(**{"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}) == (400, "BadDigest")
    assert put(**{"x-amz-checksum-sha256": "A" * 43 + "="}) == (400, "BadDigest")
    import base64
    import hashlib
    good = base64.b64encode(hashlib.sha256(b"body").digest()).decode()
    assert put(**{"x-amz-checksum-sha256": good}) == 200
    assert s3.head_object(Bucket="checks", Key="k", ChecksumMode="ENABLED")["ChecksumSHA256"] == good
    assert put(**{"x-amz-checksum-crc32": base64.b64encode(zlib.crc32(b"body").to_bytes(4, "big")).decode()}) == 200


def test_s3_gives_a_race_one_winner(client):
    s3 = client("s3", max_pool_connections=16)
    s3.create_bucket(Bucket="races", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    won = []

    def put(who):
        for i in range(20):
            try:
                s3.put_object(Bucket="races", Key=f"k{i}", Body=b"%d" % who, IfNoneMatch="*")
                won.append(i)
            except ClientError as e:
                assert e.response["Error"]["Code"] == "PreconditionFailed"
    threads = [threading.Thread(target=put, args=(n,)) for n in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sorted(won) == list(range(20))


# ---- what Terraform needs

def test_control_plane_gaps(aws, client):
    ecs, scaling = client("ecs"), client("application-autoscaling")
    ecs.create_cluster(clusterName="c")
    ecs.register_task_definition(family="f", containerDefinitions=[{"name": "x", "image": "x", "memory": 64}])
    s = ecs.create_service(cluster="c", serviceName="s", taskDefinition="f", desiredCount=1, enableExecuteCommand=True)
    assert s["service"]["enableExecuteCommand"] is True
    arn = scaling.register_scalable_target(ServiceNamespace="ecs", ResourceId="service/c/s", MinCapacity=1, MaxCapacity=2,
                                           ScalableDimension="ecs:service:DesiredCount", Tags={"a": "1"})["ScalableTargetARN"]
    scaling.tag_resource(ResourceARN=arn, Tags={"b": "2"})
    scaling.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"b": "2"}

    tables = clients({**aws[1], "AWS_REGION": "us-east-1"})("s3tables")  # moto knows it in few regions
    bucket = tables.create_table_bucket(name="tables-bucket")["arn"]
    kind = "icebergUnreferencedFileRemoval"
    value = {"status": "enabled", "settings": {kind: {"unreferencedDays": 4, "nonCurrentDays": 5}}}
    assert tables.get_table_bucket_maintenance_configuration(tableBucketARN=bucket)["configuration"][kind]["status"] == "enabled"
    tables.put_table_bucket_maintenance_configuration(tableBucketARN=bucket, type=kind, value=value)
    assert tables.get_table_bucket_maintenance_configuration(tableBucketARN=bucket)["configuration"][kind] == value
    assert tables.get_table_bucket_encryption(tableBucketARN=bucket)["encryptionConfiguration"]["sseAlgorithm"] == "AES256"

    athena = client("athena")
    athena.create_work_group(Name="w", Configuration={})
    q = athena.create_named_query(Name="n", Database="d", QueryString="SELECT 1", WorkGroup="w")["NamedQueryId"]
    athena.delete_named_query(NamedQueryId=q)
    assert athena.list_named_queries(WorkGroup="w")["NamedQueryIds"] == []

    role = client("iam").create_role(RoleName="control-plane", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    queue = "arn:aws:sqs:eu-west-1:123456789012:q"
    f = client("lambda").create_function(FunctionName="f", Runtime="provided.al2023", Role=role, Handler="bootstrap",
                                         Code={"ZipFile": empty_zip()}, DeadLetterConfig={"TargetArn": queue})
    assert f["DeadLetterConfig"]["TargetArn"] == queue


def empty_zip():
    import io
    import zipfile
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("bootstrap", "")
    return out.getvalue()


# ---- the fault proxy

def test_faults(aws, faults):
    once = dict(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=5)
    s3 = clients({**aws[1], "AWS_ENDPOINT_URL": faults.url})("s3", s3={"addressing_style": "path"}, **once)
    s3.create_bucket(Bucket="faulty", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    there = lambda key: any(o["Key"] == key for o in s3.list_objects_v2(Bucket="faulty").get("Contents", []))
    put = lambda key: s3.put_object(Bucket="faulty", Key=key, Body=b"0123456789" * 1000)

    faults.add({"fault": "status", "status": 503, "code": "SlowDown", "path": "/status", "times": 1})
    refused("SlowDown", put, key="status")
    assert not there("status")
    put("status")  # struck once only

    faults.add({"fault": "reset", "path": "/reset"}, {"fault": "lost", "path": "/lost"},
               {"fault": "after", "path": "/after", "method": "PUT", "skip": 1})
    with pytest.raises(ConnectionClosedError):
        put("reset")
    with pytest.raises(ConnectionClosedError):
        put("lost")
    put("after-1")
    refused("InternalError", put, key="after-2")
    assert [there(k) for k in ("reset", "lost", "after-1", "after-2")] == [False, True, True, True]

    faults.add({"fault": "truncate", "path": "/status", "times": 1})
    with pytest.raises(ResponseStreamingError):
        s3.get_object(Bucket="faulty", Key="status")["Body"].read()
    faults.add({"fault": "corrupt", "path": "/after-1"}, {"fault": "slow", "path": "/after-2", "bytes_per_second": 50000})
    # read past botocore's own check, which would refuse them
    raw = urllib.request.urlopen(s3.generate_presigned_url("get_object", Params={"Bucket": "faulty", "Key": "after-1"})).read()
    assert len(raw) == 10000 and sum(a != b for a, b in zip(raw, b"0123456789" * 1000)) == 1
    slow = urllib.request.urlopen(s3.generate_presigned_url("get_object", Params={"Bucket": "faulty", "Key": "after-2"})).read()
    assert slow == b"0123456789" * 1000

    assert [r["struck"] for r in faults.rules()] == [1, 1, 1, 1, 1, 1, 1]
    log = faults.log()
    assert {"method": "PUT", "path": "/faulty/lost", "status": 0} == {k: log[[e["path"] for e in log].index("/faulty/lost")][k] for k in ("method", "path", "status")}
    with pytest.raises(urllib.error.HTTPError):
        faults.add({"fault": "no such"})
    faults.clear()
    assert faults.rules() == [] and json.dumps(faults.log()) == "[]"


def test_faults_know_the_json_services(aws, faults):
    k = clients({**aws[1], "AWS_ENDPOINT_URL": faults.url})("kinesis", retries={"max_attempts": 0})
    faults.add({"fault": "status", "status": 400, "code": "ExpiredIteratorException", "target": "ListStreams$", "times": 1},
               {"fault": "headers", "target": "ListStreams$", "headers": {"Date": "Thu, 01 Jan 2026 00:00:00 GMT"}})
    refused("ExpiredIteratorException", k.list_streams)
    assert k.list_streams()["ResponseMetadata"]["HTTPHeaders"]["date"] == "Thu, 01 Jan 2026 00:00:00 GMT"
