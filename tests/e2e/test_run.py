"""inlet run against the Kinesis stand-in."""
import gzip
import hashlib
import json
import os
import re
import signal
import subprocess
import time
import uuid

import expected
import model
import pytest
from conftest import INLET, Lake, run


def put(client, name, events):
    for i in range(0, len(events), 500):
        client.put_records(StreamName=name, Records=[
            {"Data": json.dumps(e).encode(), "PartitionKey": e["event_uuid"]} for e in events[i:i + 500]])


def hash_key(event):
    """By which the stream chooses the shard of what `put` puts."""
    return int(hashlib.md5(event["event_uuid"].encode()).hexdigest(), 16)


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


def test_the_same_in_cbor_and_in_json(lake, tmp_path, kinesis):
    """Records come in CBOR; in JSON where the SDKs' own switch says so."""
    client, env = kinesis
    client.create_stream(StreamName="forms", ShardCount=2)
    events, json_lake = make(400, text="\x00\u20ac\""), Lake(tmp_path / "json")
    put(client, "forms", events)
    client.put_records(StreamName="forms", Records=[{"Data": d, "PartitionKey": "k"} for d in (b"1", b"\xff\x00", b"{")])
    consume(lake, "forms", env)
    consume(json_lake, "forms", {**env, "AWS_CBOR_DISABLE": "true"})
    model.check(lake, events)
    for table, count in (("order", 400), ("inlet_dead_letters", 3)):
        by_place = [sorted(lk.rows(table), key=lambda r: (r["_shard"], r["_sequence"])) for lk in (lake, json_lake)]
        assert [len(rows) for rows in by_place] == [count, count]
        for a, b in zip(*by_place):
            apart = a.pop("_arrived_at") - b.pop("_arrived_at")
            for own in ("letter_id", "recorded_at"):
                a.pop(own, None), b.pop(own, None)
            assert a == b and abs(apart.total_seconds()) < 0.002  # moto's times are finer than AWS's


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


@pytest.mark.long
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


def test_aggregated_records(lake, kinesis):
    """What `gen --aggregate` packs as the KPL does is taken apart again, record by record."""
    client, env = kinesis
    client.create_stream(StreamName="packed", ShardCount=2)
    args = ["gen", "--events", "3000", "--types", "7", "--seed", "5", "--start", "2026-11-20T00:00:00Z", "--malformed", "0.02"]
    lines = run(*args, env=env).stdout.splitlines()
    run(*args, "--stream", "kinesis://packed", "--aggregate", env=env)
    shards = [s["ShardId"] for s in client.list_shards(StreamName="packed")["Shards"]]
    sent = sum(len(client.get_records(ShardIterator=client.get_shard_iterator(
        StreamName="packed", ShardId=s, ShardIteratorType="TRIM_HORIZON")["ShardIterator"])["Records"]) for s in shards)
    assert sent < 60, "some 120 lines to a record"
    consume(lake, "packed", env)
    want = expected.Lake().load(b"\n".join(lines))
    sent = {e["event_uuid"]: e for e in (json.loads(line) for line in lines if expected.parse(line)[0]) if "event_uuid" in e}
    model.check(lake, [sent[u] for t in want.tables.values() for u in t.rows])
    dead = lake.rows("inlet_dead_letters")
    assert sorted((d["reason"], bytes(d["payload"]).rstrip(b"\n")) for d in dead) == sorted(want.dead) and len(dead) > 20
    assert all(d["_sequence"].endswith(f"/{d['sub_sequence']}") and d["_shard"] and d["stream"].count(":stream/packed@") for d in dead)
    rows = [r for t in lake.tables() for r in lake.rows(t)]
    places = [(r["_shard"], r["_sequence"]) for r in rows]
    assert all("/" in sequence for _, sequence in places) and len(set(places)) == len(places)


def test_latest_and_a_split_while_nobody_reads(lake, kinesis):
    """The children of a shard that was read before go on from its end, not from the tip."""
    client, env = kinesis
    client.create_stream(StreamName="asleep", ShardCount=1)

    def latest():
        run("run", "--stream", "kinesis://asleep", "--lake", lake.path, "--start", "latest", "--until-caught-up", env=env)
    put(client, "asleep", make(5))
    latest()
    events = make(20)
    put(client, "asleep", events)
    client.split_shard(StreamName="asleep", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    more = make(50)
    put(client, "asleep", more)
    child = "shardId-000000000001"
    client.split_shard(StreamName="asleep", ShardToSplit=child, NewStartingHashKey=str(2**126))
    last = make(50)
    put(client, "asleep", last)
    latest()
    model.check(lake, events + more + last)


def test_latest_of_a_stream_that_was_split_before(lake, kinesis):
    client, env = kinesis
    client.create_stream(StreamName="grown", ShardCount=1)
    put(client, "grown", make(5))
    client.split_shard(StreamName="grown", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    put(client, "grown", make(20))
    args = ["run", "--stream", "kinesis://grown", "--lake", lake.path, "--start", "latest", "--until-caught-up"]
    run(*args, env=env)
    assert "order" not in lake.tables()
    events = make(30)
    put(client, "grown", events)
    run(*args, env=env)
    model.check(lake, events)


def test_rows_put_aside_are_worth_a_cut(lake, kinesis):
    """Each event has a name of its own, so all rows are put aside at once; the memory is full of them, and nothing more is
    read until they are encoded: that must not wait for the commit interval."""
    client, env = kinesis
    client.create_stream(StreamName="aside", ShardCount=1)
    events = [e | {"event_name": f"order:n{i}"} for i, e in enumerate(make(30000))]
    put(client, "aside", events)
    run("run", "--stream", "kinesis://aside", "--lake", lake.path, "--until-caught-up", "--threads", "1", "--memory", "32MB",
        "--max-partitions", "50", "--commit-interval", "10m", env=env, timeout=100)
    assert {r["event_uuid"] for r in lake.rows("order")} == {e["event_uuid"] for e in events}


def test_records_of_ten_megabytes_do_not_wait_for_the_commit_interval(lake, kinesis):
    """Two of them fill the memory: rows that a shredder handed over in mid-batch are worth a cut, too."""
    client, env = kinesis
    client.create_stream(StreamName="large", ShardCount=1)
    events = [{**make(1)[0], "text": "x" * (10_485_000 - 300)} for _ in range(4)]
    for e in events:
        client.put_record(StreamName="large", Data=json.dumps(e).encode(), PartitionKey="k")
    run("run", "--stream", "kinesis://large", "--lake", lake.path, "--until-caught-up", "--memory", "64MB", "--commit-interval", "1h", env=env, timeout=90)
    model.check(lake, events)


def aggregate(records):
    """As the KPL packs them, by hand: one partition key, and a record's index of it and data."""
    def field(number, data):
        n, head = len(data), b""
        while n > 127:
            head, n = head + bytes([n & 127 | 128]), n >> 7
        return bytes([number << 3 | 2]) + head + bytes([n]) + data
    body = field(1, b"k") + b"".join(field(3, b"\x08\0" + field(3, r)) for r in records)
    return b"\xf3\x89\x9a\xc2" + body + hashlib.md5(body).digest()


def test_records_that_are_no_text_say_what_they_may_be(lake, kinesis):
    client, env = kinesis
    client.create_stream(StreamName="odd", ShardCount=1)
    event = json.dumps(make(1)[0]).encode()
    whole = aggregate([event])
    odd = {whole[:-1] + b"!": "an aggregate of the KPL", whole[:30]: "an aggregate of the KPL", gzip.compress(event): "gzip",
           b"\xef\xbb\xbf" + event: "byte order mark", json.dumps(make(1)[0]).encode("utf-16"): "UTF-16", b"\xfa" + event: "", event + b"\n" + event: ""}
    for record in odd:
        client.put_record(StreamName="odd", Data=record, PartitionKey="k")
    consume(lake, "odd", env)
    letters = {bytes(r["payload"]): r for r in lake.rows("inlet_dead_letters")}
    assert letters.keys() == odd.keys()
    for record, hint in odd.items():
        said = letters[record]["message"]
        assert re.search(r"at byte \d+ of \d+" + (f"; .*{hint}" if hint else "$"), said), said
