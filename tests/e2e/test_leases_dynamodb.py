"""Leases in DynamoDB: the KCL's rows, workers that overlap, one that is killed."""
import os
import signal
import subprocess
import time

import boto3
import model
import pytest
from conftest import INLET, run
from test_health import Worker
from test_run import hash_key, make, put


@pytest.fixture
def dynamodb(kinesis):
    client, env = kinesis
    return boto3.client("dynamodb", endpoint_url=env["AWS_ENDPOINT_URL"], region_name="eu-west-1",
                        aws_access_key_id="test", aws_secret_access_key="test")


def arguments(lake, name, *more):
    return ["run", "--stream", f"kinesis://{name}", "--lake", str(lake.path), "--leases",
            f"dynamodb://leases-{name}", *more]


started = []


def start(lake, name, env, log, *more):
    started.append(subprocess.Popen([INLET, *arguments(lake, name, "--commit-interval", "500ms", *more)],
                                    stdout=subprocess.DEVNULL, stderr=log, env={**os.environ, **env}))
    return started[-1]


@pytest.fixture(autouse=True)
def none_is_left():
    """Of a test that failed."""
    yield
    while started:
        p = started.pop()
        p.kill()
        p.wait()


def items(dynamodb, name):
    got = dynamodb.scan(TableName=f"leases-{name}", ConsistentRead=True)["Items"]
    return {i["leaseKey"]["S"]: i for i in got}


def wait_for(what, seconds=40):
    until = time.time() + seconds
    while not what():
        assert time.time() < until, "waited too long"
        time.sleep(0.2)


class Held:
    """The lease of one of a stream's shards, in the hands of a worker elsewhere."""

    def __init__(self, dynamodb, name, shard):
        self.dynamodb, self.table = dynamodb, f"leases-{name}"
        self.key = {"leaseKey": {"S": next(k for k in items(dynamodb, name) if k.endswith(shard))}}
        self.change("SET leaseOwner = :o ADD leaseCounter :one", **{":o": {"S": "elsewhere:1:1"}})

    def change(self, how, **values):
        self.dynamodb.update_item(TableName=self.table, Key=self.key, UpdateExpression=how,
                                  ExpressionAttributeValues={":one": {"N": "1"}, **values})

    def works(self):
        self.change("ADD leaseCounter :one")

    def ends(self):
        self.change("REMOVE leaseOwner ADD leaseCounter :one")


def lake_holds(lake, n):
    try:
        return "order" in lake.tables() and lake.pyiceberg("order").scan().to_arrow().num_rows >= n
    except Exception:  # no catalog yet
        return False


def test_rows_of_the_kcl(lake, kinesis, dynamodb):
    client, env = kinesis
    client.create_stream(StreamName="kcl", ShardCount=1)
    about = client.describe_stream_summary(StreamName="kcl")["StreamDescriptionSummary"]
    account, created = about["StreamARN"].split(":")[4], int(about["StreamCreationTimestamp"].timestamp())
    before = make(300)
    put(client, "kcl", before)
    client.split_shard(StreamName="kcl", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    after = make(300)
    put(client, "kcl", after)
    run(*arguments(lake, "kcl", "--until-caught-up"), env=env)
    model.check(lake, before + after)
    rows = items(dynamodb, "kcl")
    stream = f"{account}:kcl:{created}"
    assert set(rows) == {f"{stream}:shardId-00000000000{i}" for i in range(3)}
    parent, child = rows[f"{stream}:shardId-000000000000"], rows[f"{stream}:shardId-000000000001"]
    assert parent["checkpoint"] == {"S": "SHARD_END"}
    assert child["parentShardId"] == {"SS": ["shardId-000000000000"]}
    assert child["streamName"] == {"S": stream} and child["shardId"] == {"S": "shardId-000000000001"}
    assert child["checkpoint"]["S"].isdigit() and child["checkpointSubSequenceNumber"] == {"N": "0"}
    assert int(child["leaseCounter"]["N"]) > 0 and "leaseOwner" not in child  # given up at the end
    assert child["ownerSwitchesSinceCheckpoint"] == {"N": "0"}
    run(*arguments(lake, "kcl", "--until-caught-up"), env=env)
    model.check(lake, before + after)


def test_rows_of_others_stay(lake, kinesis, dynamodb):
    client, env = kinesis
    client.create_stream(StreamName="others", ShardCount=1)
    events = make(50)
    put(client, "others", events)
    run(*arguments(lake, "others", "--until-caught-up"), env=env)
    own = dict(next(iter(items(dynamodb, "others").values())))
    theirs = {"leaseKey": {"S": "shardId-000000000000"}, "leaseCounter": {"N": "7"}, "leaseOwner": {"S": "kcl"},
              "checkpoint": {"S": "LATEST"}}
    metrics = {"leaseKey": {"S": "worker"}, "entityType": {"S": "WORKER_METRIC_STATS"}, "lut": {"N": "1"}}
    for item in (theirs, metrics):
        dynamodb.put_item(TableName="leases-others", Item=item)
    run(*arguments(lake, "others", "--until-caught-up"), env=env)
    rows = items(dynamodb, "others")
    assert rows["shardId-000000000000"] == theirs and rows["worker"] == metrics
    del own["inletStream"]  # the row under our key, but another program's
    dynamodb.put_item(TableName="leases-others", Item=own)
    r = run(*arguments(lake, "others", "--until-caught-up"), env=env, check=False)
    assert r.returncode == 1 and b"another program" in r.stderr
    assert items(dynamodb, "others")[own["leaseKey"]["S"]] == own
    model.check(lake, events)


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_two_workers_overlap(lake, kinesis, dynamodb, tmp_path, how):
    client, env = kinesis
    name = f"overlap-{how.name}"
    client.create_stream(StreamName=name, ShardCount=2)
    events = make(1000)
    put(client, name, events)
    with open(tmp_path / "a", "wb") as a, open(tmp_path / "b", "wb") as b:
        first = start(lake, name, env, a)
        wait_for(lambda: lake_holds(lake, 1))
        second = start(lake, name, env, b)
        wait_for(lambda: b"standing by" in (tmp_path / "b").read_bytes())
        more = make(1000)
        put(client, name, more)
        time.sleep(1)
        owners = {i.get("leaseOwner", {}).get("S") for i in items(dynamodb, name).values()}
        assert len(owners) == 1 and None not in owners
        first.send_signal(how)
        code = first.wait(timeout=30)
        assert how == signal.SIGKILL or code == 0
        began = time.time()
        last = make(500)
        put(client, name, last)
        wait_for(lambda: lake_holds(lake, 2500))
        # What was given up is taken at once; of the dead, nothing before the failover time.
        assert how == signal.SIGTERM or time.time() - began > 5
        taken = {i["leaseOwner"]["S"] for i in items(dynamodb, name).values()}
        assert len(taken) == 1 and taken != owners
        second.terminate()
        assert second.wait(timeout=30) == 0
    model.check(lake, events + more + last)


def test_two_that_begin_together(lake, aws, faults, tmp_path):
    """Who is late to take what was free when he looked stands by; he once ended with an error."""
    client, dynamodb, env, name = aws[0]("kinesis"), aws[0]("dynamodb"), aws[1], "together"
    client.create_stream(StreamName=name, ShardCount=1)
    events = make(300)
    put(client, name, events)
    faults.add({"fault": "delay", "seconds": 3, "target": "UpdateItem", "times": 1})
    with open(tmp_path / "a", "wb") as log:
        late = start(lake, name, {**env, "AWS_ENDPOINT_URL": faults.url}, log)
        wait_for(lambda: faults.rules()[0]["seen"])
        other = Held(dynamodb, name, "shardId-000000000000")
        wait_for(lambda: other.works() or late.poll() is not None or b"standing by" in (tmp_path / "a").read_bytes())
        assert late.poll() is None, (tmp_path / "a").read_text()
        other.ends()
        wait_for(lambda: lake_holds(lake, 300))
        late.terminate()
        assert late.wait(timeout=30) == 0, (tmp_path / "a").read_text()
    model.check(lake, events)


def test_one_that_stands_by_is_stopped_at_once(lake, kinesis, dynamodb, tmp_path):
    """It has no shard yet, but answers: alive, not ready; and ends when it is told to."""
    client, env = kinesis
    client.create_stream(StreamName="stands-by", ShardCount=2)
    put(client, "stands-by", make(100))
    with open(tmp_path / "a", "wb") as log:
        first = start(lake, "stands-by", env, log)
        wait_for(lambda: lake_holds(lake, 1))
        w = Worker(lake, "stands-by", env, tmp_path, "--leases", "dynamodb://leases-stands-by", "--http", "127.0.0.1:0")
        wait_for(lambda: "standing by" in w.log())
        assert w.get("/healthz")[0] == 200
        began = time.time()
        assert w.stop() == 0
        assert time.time() - began < 5
        assert first.poll() is None
        first.terminate()
        assert first.wait(timeout=30) == 0


@pytest.mark.long
def test_a_zombie_is_fenced(lake, kinesis, dynamodb, tmp_path):
    """Stopped for longer than the failover, it wakes after its successor has gone on."""
    client, env = kinesis
    client.create_stream(StreamName="zombie", ShardCount=1)
    events = make(500)
    put(client, "zombie", events)
    with open(tmp_path / "a", "wb") as a, open(tmp_path / "b", "wb") as b:
        first = start(lake, "zombie", env, a)
        wait_for(lambda: lake_holds(lake, 1))
        more = make(500)
        put(client, "zombie", more)
        owners = {i["leaseOwner"]["S"] for i in items(dynamodb, "zombie").values()}
        first.send_signal(signal.SIGSTOP)
        second = start(lake, "zombie", env, b)
        # Again and again: whoever pauses processes for a quiet machine lets them go on as well.
        wait_for(lambda: first.send_signal(signal.SIGSTOP) or
                 not owners & {i.get("leaseOwner", {}).get("S") for i in items(dynamodb, "zombie").values()})
        wait_for(lambda: lake_holds(lake, 1000))
        last = make(500)
        put(client, "zombie", last)
        first.send_signal(signal.SIGCONT)
        wait_for(lambda: lake_holds(lake, 1500))
        wait_for(lambda: b"standing by" in (tmp_path / "a").read_bytes() or first.poll() is not None)
        first.terminate()
        first.wait(timeout=30)
        second.terminate()
        assert second.wait(timeout=30) == 0
    model.check(lake, events + more + last)


@pytest.mark.parametrize("held", [0, 1])
def test_a_shard_that_another_worker_has_at_the_start(lake, kinesis, dynamodb, tmp_path, held):
    """What can be had is read, and its lease kept, for as long as he works; and that one once he gives it up."""
    client, env = kinesis
    name = f"one-of-two-{held}"
    client.create_stream(StreamName=name, ShardCount=2)
    run(*arguments(lake, name, "--until-caught-up"), env=env)
    other = Held(dynamodb, name, f"shardId-00000000000{held}")
    events = make(400)
    put(client, name, events)
    his = sum((hash_key(e) >= 2**127) == bool(held) for e in events)
    with open(tmp_path / "a", "wb") as log:
        w = start(lake, name, env, log)
        wait_for(lambda: other.works() or lake_holds(lake, 400 - his))
        wait_for(lambda: other.works() or b"standing by" in (tmp_path / "a").read_bytes())
        assert not lake_holds(lake, 400 - his + 1)
        other.ends()
        wait_for(lambda: lake_holds(lake, 400))
        w.terminate()
        assert w.wait(timeout=30) == 0
    model.check(lake, events)


def test_what_was_committed_while_one_stood_by_is_in_its_dedup_window(lake, kinesis, dynamodb, tmp_path):
    client, env = kinesis
    client.create_stream(StreamName="window", ShardCount=1)
    events = make(100)
    put(client, "window", events[:10])
    with open(tmp_path / "a", "wb") as a, open(tmp_path / "b", "wb") as b:
        first = start(lake, "window", env, a)
        wait_for(lambda: lake_holds(lake, 10))
        second = start(lake, "window", env, b)
        wait_for(lambda: b"standing by" in (tmp_path / "b").read_bytes())
        put(client, "window", events[10:])
        wait_for(lambda: lake_holds(lake, 100))
        first.terminate()
        assert first.wait(timeout=30) == 0
        more = make(100)
        put(client, "window", events + more)
        wait_for(lambda: lake_holds(lake, 200))
        second.terminate()
        assert second.wait(timeout=30) == 0
    model.check(lake, events + more)


def test_children_that_another_worker_has(lake, kinesis, dynamodb, tmp_path):
    """While he works on one of them the other is read and committed; and that one too, once he gives it up."""
    client, env = kinesis
    name, child = "children", "shardId-000000000001"
    client.create_stream(StreamName=name, ShardCount=1)
    events = make(300)
    put(client, name, events)
    with open(tmp_path / "a", "wb") as log:
        w = start(lake, name, env, log)
        wait_for(lambda: lake_holds(lake, 300))
        [parent] = items(dynamodb, name).values()
        key = {"leaseKey": {"S": parent["leaseKey"]["S"].replace("shardId-000000000000", child)}}
        dynamodb.put_item(TableName=f"leases-{name}", Item={
            **parent, **key, "shardId": {"S": child}, "parentShardId": {"SS": ["shardId-000000000000"]},
            "checkpoint": {"S": "TRIM_HORIZON"}})
        other = Held(dynamodb, name, child)
        client.split_shard(StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**125))
        more = make(400)
        put(client, name, more)
        his = sum(hash_key(e) < 2**125 for e in more)
        wait_for(lambda: other.works() or (lake_holds(lake, 700 - his) and b"standing by" in (tmp_path / "a").read_bytes()))
        assert not lake_holds(lake, 700 - his + 1)
        other.ends()
        wait_for(lambda: lake_holds(lake, 700))
        w.terminate()
        assert w.wait(timeout=30) == 0
    model.check(lake, events + more)


def test_latest_is_resolved_once(lake, kinesis, dynamodb):
    client, env = kinesis
    client.create_stream(StreamName="latest", ShardCount=1)
    put(client, "latest", make(10))
    run(*arguments(lake, "latest", "--until-caught-up", "--start", "latest"), env=env)
    row = next(iter(items(dynamodb, "latest").values()))
    assert row["checkpoint"]["S"].isdigit() and "inletUnresolved" not in row
    events = make(10)
    put(client, "latest", events)
    run(*arguments(lake, "latest", "--until-caught-up", "--start", "latest"), env=env)
    model.check(lake, events)
