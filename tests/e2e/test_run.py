"""inlet run against the Kinesis stand-in."""
import json
import os
import signal
import subprocess
import time
import uuid

import model
from conftest import INLET, run


def put(client, name, events):
    for i in range(0, len(events), 500):
        client.put_records(StreamName=name, Records=[
            {"Data": json.dumps(e).encode(), "PartitionKey": e["event_uuid"]} for e in events[i:i + 500]])


def make(n, **fields):
    return [{"event_uuid": str(uuid.uuid4()), "event_name": "order:placed", "created_at": 1700000000 + i, "n": i, **fields} for i in range(n)]


def consume(lake, name, env):
    return run("run", "--stream", f"kinesis://{name}", "--lake", lake.path, "--until-caught-up", env=env)


def test_stream_once(lake, kinesis):
    client, env = kinesis
    client.create_stream(StreamName="once", ShardCount=3)
    events = make(1200)
    put(client, "once", events + events[:100])
    consume(lake, "once", env)
    model.check(lake, events)
    row = lake.rows("order")[0]
    assert row["_shard"].startswith("shardId-") and row["_sequence"] and row["_arrived_at"]
    consume(lake, "once", env)
    model.check(lake, events)
    more = make(50, later="x")
    put(client, "once", more + events[:20])
    consume(lake, "once", env)
    model.check(lake, events + more)


def test_split_shard(lake, kinesis):
    client, env = kinesis
    client.create_stream(StreamName="split", ShardCount=1)
    before = make(300)
    put(client, "split", before)
    client.split_shard(StreamName="split", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    after = make(300)
    put(client, "split", after)
    consume(lake, "split", env)
    model.check(lake, before + after)


def test_terminated_and_killed(lake, kinesis):
    client, env = kinesis
    client.create_stream(StreamName="kill", ShardCount=2)
    events = make(4000)
    put(client, "kill", events)
    for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        p = subprocess.Popen([INLET, "run", "--stream", "kinesis://kill", "--lake", str(lake.path), "--commit-interval", "1s"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **env})
        time.sleep(1.5)
        p.send_signal(how)
        code = p.wait(timeout=30)
        assert how == signal.SIGKILL or code == 0
    consume(lake, "kill", env)
    model.check(lake, events)


def test_no_such_stream(lake, kinesis):
    _, env = kinesis
    r = run("run", "--stream", "kinesis://missing", "--lake", lake.path, "--until-caught-up", env=env, check=False)
    assert r.returncode == 1 and b"missing" in r.stderr
