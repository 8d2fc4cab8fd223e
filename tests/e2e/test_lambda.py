"""inlet lambda against a runtime API of our own: the same exactly-once as a worker's."""
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import time

import pytest

import model
from conftest import INLET, ROOT, run
from test_run import consume, make

sys.path.insert(0, str(ROOT / "tests" / "standin"))
from lambda_runtime import Runtime, event_of  # noqa: E402

SHARD, OTHER = "shardId-000000000000", "shardId-000000000001"
BASE = 49590338271490256608559692538361571095921575989136588898


class Function:
    """A container: a process and its runtime API."""

    def __init__(self, lake, env, *args, **more):
        self.runtime = Runtime()
        self.err = open(f"{lake.path}.{id(self)}.stderr", "w+b")
        self.out = open(f"{lake.path}.{id(self)}.stdout", "w+b")
        place = [] if "INLET_LAKE" in more else ["--lake", str(lake.path)]
        self.p = subprocess.Popen([INLET, "lambda", *place, *args], stdout=self.out, stderr=self.err,
                                  env={**os.environ, **env, "AWS_LAMBDA_RUNTIME_API": self.runtime.api, **more})

    def __call__(self, arn, shard, records):
        return self.runtime.invoke(event_of(arn, shard, [(s, e if isinstance(e, bytes) else json.dumps(e).encode())
                                                         for s, e in records]))

    def log(self):
        return pathlib.Path(self.err.name).read_text()

    def end(self):
        self.p.kill()
        self.p.wait()
        self.runtime.close()


@pytest.fixture
def function(lake, kinesis):
    started = []
    lake.path.parent.mkdir(exist_ok=True)

    def start(*args, **env):
        started.append(Function(lake, kinesis[1], *args, **env))
        return started[-1]
    yield start
    for f in started:
        f.end()


def stream(kinesis, name, shards=1):
    kinesis[0].create_stream(StreamName=name, ShardCount=shards)
    return kinesis[0].describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]


OK = ("response", {"batchItemFailures": []})


def batch(events, at=0):
    return [(BASE + at + i, e) for i, e in enumerate(events)]


def test_batches(lake, kinesis, function):
    arn = stream(kinesis, "small")
    f = function("--metrics", "emf")
    events = make(250)
    assert f(arn, SHARD, batch(events[:100])) == OK
    model.check(lake, events[:100])
    row = lake.rows("order")[0]
    assert row["_shard"] == SHARD and int(row["_sequence"]) >= BASE and row["_arrived_at"].year == 2018
    assert f(arn, SHARD, batch(events[100:200], 100)) == OK
    # again, whole and in part, to the warm container, and then with more behind
    assert f(arn, SHARD, batch(events[100:200], 100)) == OK
    assert f(arn, SHARD, batch(events[150:250], 150)) == OK
    model.check(lake, events)
    # to a new container: only the lake knows
    g = function()
    assert g(arn, SHARD, batch(events[150:250], 150)) == OK
    more = make(20)
    assert g(arn, SHARD, batch(more, 250)) == OK
    model.check(lake, events + more)
    # the first container has missed those: it is fenced, and takes the batch again from the positions
    last = make(30)
    assert f(arn, SHARD, batch(more[10:] + last, 260)) == OK
    model.check(lake, events + more + last)
    assert f.runtime.invoke({"Records": []}) == OK
    lines = [json.loads(line) for line in pathlib.Path(f.out.name).read_text().splitlines()]
    assert [line["Restarts"] for line in lines if "Table" not in line] == [0, 0, 0, 0, 1, 0]


def test_a_table_that_refuses(lake, kinesis, function):
    """Its events go to dead letters before the function's time is over; the shard goes on, and replay brings them back."""
    arn = stream(kinesis, "refuses")
    f = function("--quarantine-after", "300ms")
    events = make(20)
    assert f(arn, SHARD, batch(events)) == OK
    db = sqlite3.connect(lake.path / "catalog.db")
    with db:  # somebody makes a view of the table's name
        db.execute("UPDATE iceberg_tables SET iceberg_type = 'VIEW' WHERE table_name = 'order'")
    more = make(20)
    assert f(arn, SHARD, batch(more, 20)) == OK
    assert [d["reason"] for d in lake.rows("inlet_dead_letters")] == ["table_unavailable"] * 20
    with db:
        db.execute("UPDATE iceberg_tables SET iceberg_type = 'TABLE' WHERE table_name = 'order'")
    db.close()
    run("replay", "--lake", lake.path)
    model.check(lake, events + more)


def test_commits_of_a_batch(lake, kinesis, function):
    """One commit and one file a table, however large the batch."""
    arn = stream(kinesis, "many")
    f = function()
    events = make(3000, blob="x" * 300)
    for e in events:
        e["created_at"] = 1700000000
    assert f(arn, SHARD, batch(events)) == OK
    table = lake.pyiceberg("order")
    assert len(list(table.snapshots())) == 1 and len(list(table.scan().plan_files())) == 1


def test_shards_and_dead_letters(lake, kinesis, function):
    arn = stream(kinesis, "two", 2)
    f = function("--metrics", "emf")
    a, b = make(40), make(40)
    assert f(arn, SHARD, batch(a[:20])) == OK
    assert f(arn, OTHER, batch(b[:20] + [b"{broken", {"event_uuid": 5}])) == OK
    assert f(arn, SHARD, batch(a[20:], 20)) == OK
    assert f(arn, OTHER, batch(b[20:], 30)) == OK
    model.check(lake, a + b)
    dead = lake.rows("inlet_dead_letters")
    assert sorted(d["reason"] for d in dead) == ["invalid_event_uuid", "invalid_json"]
    lines = [json.loads(line) for line in pathlib.Path(f.out.name).read_text().splitlines()]
    rows = [line["Rows"] for line in lines if "Table" not in line]
    assert rows == [20, 22, 20, 20]


def test_a_worker_goes_on_where_lambda_was(lake, kinesis, function):
    """The stream's identity and its positions are the same."""
    client, env = kinesis
    arn = stream(kinesis, "both")
    events = make(60)
    client.put_records(StreamName="both", Records=[{"Data": json.dumps(e).encode(), "PartitionKey": "k"} for e in events])
    it = client.get_shard_iterator(StreamName="both", ShardId=SHARD, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    records = client.get_records(ShardIterator=it)["Records"]
    f = function()
    assert f(arn, SHARD, [(int(r["SequenceNumber"]), r["Data"]) for r in records[:40]]) == OK
    r = run("run", "--stream", "kinesis://both", "--lake", lake.path, "--until-caught-up", "--json", "--dedup-window", "0", env=env)
    assert json.loads(r.stdout)["skipped"] == 40
    model.check(lake, events)
    # and back: the container's expectations are old
    assert f(arn, SHARD, [(int(r["SequenceNumber"]), r["Data"]) for r in records[30:]]) == OK
    model.check(lake, events)


def test_killed_at_any_moment(lake, kinesis, function):
    arn = stream(kinesis, "killed-lambda")
    events = make(600)
    at = 0
    for delay in (0.0, 0.02, 0.05, 0.1, 0.2, 0.3):
        f = function()
        assert f.runtime.first_next.wait(30)
        f.runtime.send(event_of(arn, SHARD, [(s, json.dumps(e).encode()) for s, e in batch(events[at:at + 100], at)]))
        time.sleep(delay)
        f.p.kill()
        g = function()
        assert g(arn, SHARD, batch(events[at:at + 100], at)) == OK
        at += 100
    model.check(lake, events)


def test_a_lost_answer(lake, kinesis, function):
    arn = stream(kinesis, "lost")
    f = function()
    events = make(50)
    request = f.runtime.send(event_of(arn, SHARD, [(s, json.dumps(e).encode()) for s, e in batch(events)]))
    f.runtime.lose.add(request)
    assert f.runtime.answers[request].get(timeout=30) == OK  # said again
    model.check(lake, events)


def test_failures(lake, kinesis, function, tmp_path):
    """What is not in the lake is never answered for."""
    arn = stream(kinesis, "fails")
    lake.path.mkdir()
    (lake.path / "catalog.db").write_bytes(b"no database" * 100)
    events = make(10)
    f = function()
    what, body = f(arn, SHARD, batch(events))
    assert what == "error" and body["errorType"] == "Inlet.NotCommitted" and "catalog" in body["errorMessage"]
    g = function("--partial-failures")
    assert g(arn, SHARD, batch(events)) == ("response", {"batchItemFailures": [{"itemIdentifier": str(BASE)}]})
    (lake.path / "catalog.db").unlink()
    assert f(arn, SHARD, batch(events)) == OK  # the same container, once it can
    assert g(arn, SHARD, batch(events)) == OK
    model.check(lake, events)


@pytest.mark.parametrize("event", [
    b"", b"{", b"[]", b"7", b"{}", b'{"Records": 5}', b'{"Records": [5]}', b'{"Records": [{"eventSource": "aws:s3"}]}',
    b'{"a": 1, "a": 2}', b'{"Records": [{"kinesis": {"sequenceNumber": "x"}, "eventSource": "aws:kinesis", "eventID": "s:1",'
    b' "eventSourceARN": "arn:aws:kinesis:a:1:stream/x"}]}', b"[" * 100000], ids=range(11))
def test_events_that_are_none(lake, function, event):
    f = function()
    what, body = f.runtime.invoke(event)
    assert what == "error" and body["errorType"] == "Inlet.InvalidEvent" and body["errorMessage"]
    assert f.p.poll() is None


def test_several_shards_in_one_event(lake, kinesis, function):
    arn = stream(kinesis, "mixed", 2)
    f = function()
    event = event_of(arn, SHARD, [(1, b"{}")])
    event["Records"] += event_of(arn, OTHER, [(2, b"{}")])["Records"]
    assert f.runtime.invoke(event)[1]["errorMessage"].endswith("several shards")
    event = event_of(arn, SHARD, [(2, b"{}"), (1, b"{}")])
    assert "order" in f.runtime.invoke(event)[1]["errorMessage"]


def test_no_such_stream_and_no_runtime(lake, kinesis, function):
    f = function()
    what, body = f("arn:aws:kinesis:eu-west-1:123456789012:stream/nowhere", SHARD, batch(make(1)))
    assert what == "error" and "nowhere" in body["errorMessage"]
    r = run("lambda", "--lake", lake.path, check=False)
    assert r.returncode == 2 and b"inlet run" in r.stderr
