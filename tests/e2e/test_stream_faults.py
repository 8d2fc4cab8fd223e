"""inlet run and gen against a Kinesis that throttles, fails, forgets iterators and is resharded."""
import datetime
import json
import os
import signal
import socket
import subprocess
import sys
import time

import model
import pytest
import sqlalchemy.exc
from conftest import INLET, ROOT, Faults, aws_env, clients, run, start_moto
from test_health import until
from test_run import make, put


def through(aws, faults):
    return {**aws[1], "AWS_ENDPOINT_URL": faults.url}


def consume(lake, name, env, *args):
    return run("run", "--stream", f"kinesis://{name}", "--lake", lake.path, "--until-caught-up", *args, env=env)


def error(code, status=400, **more):
    return {"fault": "status", "status": status, "code": code, **more}


READS = {
    "throttled": error("ProvisionedThroughputExceededException", target="GetRecords", times=6),
    "limit exceeded": error("LimitExceededException", target="ListShards|DescribeStream", times=3),
    "internal failure": error("InternalFailure", 500, target="GetRecords", times=5),
    "unavailable": error("ServiceUnavailable", 503, times=5),
    "expired iterator": error("ExpiredIteratorException", target="GetRecords", skip=1, times=3),
    "reset": {"fault": "reset", "target": "GetRecords", "times": 4},
    "answers lost": {"fault": "lost", "target": "GetRecords", "times": 4},
    "cut short": {"fault": "truncate", "target": "GetRecords", "times": 3},
    "slow": {"fault": "slow", "target": "GetRecords", "times": 1, "bytes_per_second": 60000},
}


@pytest.mark.parametrize("name", READS)
def test_reading_through(lake, aws, faults, name):
    client, events, stream = aws[0]("kinesis"), make(600), "read-" + name.replace(" ", "-")
    client.create_stream(StreamName=stream, ShardCount=2)
    put(client, stream, events)
    faults.add(READS[name])
    consume(lake, stream, through(aws, faults))
    struck, = faults.rules()
    assert struck["struck"] == struck["times"], struck
    model.check(lake, events)


@pytest.mark.parametrize("rule", [error("ProvisionedThroughputExceededException", target="PutRecords", times=3),
                                  error("InternalFailure", 500, target="PutRecords", times=2), {"fault": "reset", "target": "PutRecords", "times": 2}],
                         ids=["throttled", "internal failure", "reset"])
@pytest.mark.parametrize("packed", [[], ["--aggregate"]], ids=["plain", "aggregated"])
def test_writing_through(lake, aws, faults, rule, packed):
    client, stream = aws[0]("kinesis"), f"write-{rule.get('code', 'reset')}-{len(packed)}"
    client.create_stream(StreamName=stream, ShardCount=2)
    args = ["gen", "--events", "4000", "--types", "5", "--seed", "9", "--start", "2026-11-20T00:00:00Z", "--malformed", "0", "--duplicates", "0"]
    sent = [json.loads(line) for line in run(*args).stdout.splitlines()]
    faults.add(rule)
    run(*args, "--stream", f"kinesis://{stream}", *packed, env=through(aws, faults))
    assert faults.rules()[0]["struck"] == rule["times"]
    consume(lake, stream, aws[1])
    model.check(lake, sent)


@pytest.mark.parametrize("packed", [[], ["--aggregate"]], ids=["plain", "aggregated"])
def test_records_refused_one_by_one(lake, aws, faults, packed):
    """Of a PutRecords only what was refused is sent again: nothing is lost, and nothing is in the stream twice."""
    client, stream = aws[0]("kinesis"), f"partial-{len(packed)}"
    client.create_stream(StreamName=stream, ShardCount=2)
    args = ["gen", "--events", "6000", "--types", "5", "--seed", "11", "--start", "2026-11-20T00:00:00Z", "--malformed", "0", "--duplicates", "0"]
    sent = [json.loads(line) for line in run(*args).stdout.splitlines()]
    faults.add({"fault": "partial", "target": "PutRecords", "refused": 0.4, "share": 0.8, "seed": 3})
    run(*args, "--stream", f"kinesis://{stream}", *packed, env=through(aws, faults))
    puts = [p for p in faults.log() if p["target"].endswith("PutRecords") and "records" in p]
    assert len(puts) > 2 and sum(p["refused"] for p in puts) > 5
    faults.clear()
    report = json.loads(consume(lake, stream, aws[1], "--json").stdout)
    assert report["records"] == len(sent) and report["duplicates"] == 0
    model.check(lake, sent)


@pytest.mark.parametrize("expired", [False, True])
def test_shards_in_pages(lake, expired):
    """ListShards in pages, one of which fails at first; at the start and, where an end names no children, later. Where what failed
    is the token, that has waited too long, all of them are asked for again."""
    proc, port = start_moto({"LIST_SHARDS_PAGE": "3", "NO_CHILD_SHARDS": "1"})
    faults = Faults(f"http://127.0.0.1:{port}")
    try:
        client = clients(aws_env(port))("kinesis")
        client.create_stream(StreamName="pages", ShardCount=8)
        events = make(400)
        put(client, "pages", events)
        env = {**aws_env(port), "AWS_ENDPOINT_URL": faults.url}
        old = error("ExpiredNextTokenException", target="ListShards", skip=1, times=1)
        faults.add(old if expired else error("LimitExceededException", target="ListShards", skip=1, times=2))
        consume(lake, "pages", env)
        assert sum(r["target"].endswith("ListShards") for r in faults.log()) == 3 + 2
        model.check(lake, events)
        faults.clear()
        faults.add({**old, "skip": 5} if expired else error("InternalFailure", 500, target="ListShards", skip=5, times=1))  # of the reader's pages
        p = start(lake, "pages", env, "--commit-interval", "100ms")
        try:
            events += make(200)
            put(client, "pages", events[400:])
            until(lambda: len(lake.duckdb("order", "n")) == 600)
            client.split_shard(StreamName="pages", ShardToSplit="shardId-000000000007", NewStartingHashKey=str(2**128 - 2**124))
            events += make(400)
            put(client, "pages", events[600:])
            until(lambda: len(lake.duckdb("order", "n")) == 1000)
            p.send_signal(signal.SIGTERM)
            assert p.wait(timeout=30) == 0
        finally:
            p.kill()
        assert faults.rules()[0]["struck"] == 1 and sum(r["target"].endswith("ListShards") for r in faults.log()) == 3 + 4 + (3 if expired else 1)
        model.check(lake, events)
        shards = {r["_shard"] for r in lake.duckdb("order", "_shard")}
        assert shards == {f"shardId-{i:012d}" for i in range(10)}
    finally:
        faults.close()
        proc.terminate()
        proc.wait()


def test_start_at_a_time(lake, aws):
    client = aws[0]("kinesis")
    client.create_stream(StreamName="at", ShardCount=2)
    put(client, "at", make(50))
    time.sleep(1.1)
    at = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    time.sleep(0.2)
    events = make(60)
    put(client, "at", events)
    consume(lake, "at", aws[1], "--start", at)
    model.check(lake, events)
    more = make(10)
    put(client, "at", more)
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)  # what was resolved once stays
    consume(lake, "at", aws[1], "--start", later.strftime("%Y-%m-%dT%H:%M:%SZ"))
    model.check(lake, events + more)


def test_split_then_merged(lake, aws):
    """Children after their parents: what was put after a split or merge is committed after all that was put before."""
    client, rounds = aws[0]("kinesis"), []
    client.create_stream(StreamName="again", ShardCount=1)

    def put_round():
        rounds.append(make(120, round=len(rounds)))
        put(client, "again", rounds[-1])

    def opened():
        return [s["ShardId"] for s in client.list_shards(StreamName="again")["Shards"] if "EndingSequenceNumber" not in s["SequenceNumberRange"]]
    put_round()
    client.split_shard(StreamName="again", ShardToSplit=opened()[0], NewStartingHashKey=str(2**127))
    put_round()
    consume(lake, "again", aws[1])
    model.check(lake, sum(rounds, []))
    a, b = opened()
    client.merge_shards(StreamName="again", ShardToMerge=a, AdjacentShardToMerge=b)
    put_round()
    client.split_shard(StreamName="again", ShardToSplit=opened()[0], NewStartingHashKey=str(2**126))
    put_round()
    consume(lake, "again", aws[1])
    model.check(lake, sum(rounds, []))
    began = {}  # the first snapshot that has a round's rows
    table = lake.pyiceberg("order")
    for snapshot in sorted(table.snapshots(), key=lambda x: x.sequence_number):
        for r in set(table.scan(snapshot_id=snapshot.snapshot_id, selected_fields=("round",)).to_arrow()["round"].to_pylist()):
            began.setdefault(r, snapshot.sequence_number)
    assert [began[r] for r in range(len(rounds))] == sorted(set(began.values())), began
    consume(lake, "again", aws[1])
    model.check(lake, sum(rounds, []))


# ---- an endpoint that is not there

bound = []


def free_port():
    """At which nobody listens. It stays bound, so that no connection of others gets it before somebody of ours does."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    bound.append(s)
    return s.getsockname()[1]


def start(lake, stream, env, *args):
    return subprocess.Popen([INLET, "run", "--stream", f"kinesis://{stream}", "--lake", str(lake.path), *args], env={**os.environ, **env},
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def serve(port, to):
    return subprocess.Popen([sys.executable, str(ROOT / "tests" / "standin" / "faults.py"), "--port", str(port), "--to", to],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.long
def test_an_endpoint_that_comes_up_later(lake, aws):
    """After the patience of one call: the start is tried again, and says what it waits for."""
    client, events, port = aws[0]("kinesis"), make(300), free_port()
    client.create_stream(StreamName="down", ShardCount=2)
    put(client, "down", events)
    p = start(lake, "down", {**aws[1], "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}, "--until-caught-up")
    said, proxy = b"", None
    try:
        while b"cannot start yet: stream down" not in said:  # by its own clock: it may have begun late
            said += p.stderr.readline()
            assert p.poll() is None, said
        proxy = serve(port, aws[1]["AWS_ENDPOINT_URL"])
        said += p.stderr.read()  # to its end, which --start-patience sets
        assert p.wait(timeout=60) == 0, said
    finally:
        p.kill()
        if proxy:
            proxy.terminate()
            proxy.wait()
    assert b"waiting for Kinesis: Kinesis DescribeStreamSummary" in said and str(port).encode() in said
    model.check(lake, events)


@pytest.mark.long
def test_an_endpoint_that_goes_for_a_while(lake, aws):
    """While it runs: longer than any single call is tried."""
    client, port = aws[0]("kinesis"), free_port()
    client.create_stream(StreamName="gone", ShardCount=2)
    events = make(200)
    put(client, "gone", events)
    proxy = serve(port, aws[1]["AWS_ENDPOINT_URL"])
    p = start(lake, "gone", {**aws[1], "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}, "--commit-interval", "100ms")
    try:
        until(lambda: "order" in lake_tables(lake) and len(lake.duckdb("order", "n")) == 200)
        proxy.kill()
        proxy.wait()
        events += make(200)
        put(client, "gone", events[200:])
        time.sleep(25)
        assert p.poll() is None
        proxy = serve(port, aws[1]["AWS_ENDPOINT_URL"])
        until(lambda: len(lake.duckdb("order", "n")) == 400)
        p.send_signal(signal.SIGTERM)
        _, said = p.communicate(timeout=60)
    finally:
        p.kill()
        proxy.kill()
        proxy.wait()
    assert p.returncode == 0 and b"trying again" in said and b"reading again" in said, said
    model.check(lake, events)


def lake_tables(lake):
    """None while the program makes its catalog, for PyIceberg makes what it misses of it at the same time."""
    try:
        return lake.tables() if (lake.path / "catalog.db").exists() else []
    except sqlalchemy.exc.OperationalError:
        return []


def test_an_endpoint_that_stays_away(lake, aws):
    began = time.time()
    env = {**aws[1], "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
    r = run("run", "--stream", "kinesis://away", "--lake", lake.path, "--start-patience", "1s", env=env, check=False)
    assert r.returncode == 1 and time.time() - began < 15
    assert b"given up at the start after 1 s: stream away: Kinesis DescribeStreamSummary" in r.stderr


def test_stopped_while_it_waits(lake, aws):
    p = start(lake, "away", {**aws[1], "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"})
    try:
        while b"waiting for Kinesis" not in p.stderr.readline():
            assert p.poll() is None
        began = time.time()
        p.send_signal(signal.SIGTERM)
        assert p.wait(timeout=30) == 0 and time.time() - began < 5
    finally:
        p.kill()


@pytest.mark.parametrize("code", ["UnrecognizedClientException", "AccessDeniedException", "ResourceNotFoundException"])
def test_what_is_wrong_is_not_waited_for(lake, aws, faults, code):
    faults.add(error(code, target="DescribeStreamSummary"))
    began = time.time()
    r = run("run", "--stream", "kinesis://wrong", "--lake", lake.path, env=through(aws, faults), check=False)
    assert r.returncode == 1 and code.encode() in r.stderr and time.time() - began < 10
    assert b"waiting" not in r.stderr and b"cannot start yet" not in r.stderr


# ---- a disk that does not take what was written

def test_a_spool_that_cannot_be_synced(lake, aws, tmp_path):
    """What it held is nowhere else: all that is uncommitted is read again from its positions, once."""
    so = tmp_path / "failing_sync.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-O1", "-o", so, ROOT / "tests" / "standin" / "failing_sync.c", "-ldl"], check=True)
    client, events, stream = aws[0]("kinesis"), make(600), "unsynced"
    client.create_stream(StreamName=stream, ShardCount=2)
    put(client, stream, events)
    env = {**aws[1], "LD_PRELOAD": str(so), "ASAN_OPTIONS": "verify_asan_link_order=0", "SYNC_AFTER": "0", "SYNC_TIMES": "2"}
    r = consume(lake, stream, env, "--json")
    assert b"what is uncommitted is dropped and read again" in r.stderr, "no sync failed: the test would prove nothing"
    out = json.loads(r.stdout)
    assert out["reread"] > 0 and out["records"] - out["reread"] == len(events)
    assert out["rows_committed"] == len(events) and out["duplicates"] == 0
    model.check(lake, events)
