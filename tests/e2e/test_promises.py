"""The promises of a running worker: whatever befalls tables, leases and answers, each event is in the lake once:
as a row of its table, or whole in the dead letters of a quarantined one."""
import contextlib
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import time
import uuid

import pytest

from conftest import INLET, ROOT, ndjson, run
from test_run import hash_key, put


def make(n, *types):
    return [{"event_uuid": str(uuid.uuid4()), "event_name": types[i % len(types)], "created_at": 1700000000 + i, "n": i}
            for i in range(n)]


def wait_for(what, seconds=60):
    until = time.time() + seconds
    while True:
        with contextlib.suppress(Exception):  # the lake is being made
            if what():
                return
        assert time.time() < until, "waited too long"
        time.sleep(0.1)


class Worker:
    """`inlet run` in the background; what it says goes to a file."""

    def __init__(self, lake, stream, env, log, *args):
        self.log, self.json = log, log.with_suffix(".json")
        with open(log, "ab") as out, open(self.json, "wb") as report:
            self.p = subprocess.Popen([INLET, "run", "--stream", f"kinesis://{stream}", "--lake", str(lake.path),
                                       "--commit-interval", "200ms", *args],
                                      stdout=report, stderr=out, env={**os.environ, **env})

    def said(self, text):
        return text.encode() in self.log.read_bytes()

    def end(self, how=signal.SIGTERM):
        self.p.send_signal(how)
        code = self.p.wait(timeout=60)
        assert how == signal.SIGKILL or code == 0, self.log.read_text()[-3000:]


@pytest.fixture
def worker(lake, kinesis, tmp_path):
    _, env = kinesis
    made = []

    def start(stream, *args):
        made.append(Worker(lake, stream, env, tmp_path / f"worker{len(made)}", *args))
        return made[-1]
    yield start
    for w in made:
        if w.p.poll() is None:
            w.p.kill()
            w.p.wait()


def rows(lake, *tables):
    """event_uuid of the rows of these tables, and of the events kept whole in dead letters."""
    there = lake.tables()
    return ([r["event_uuid"] for t in tables if t in there for r in lake.duckdb(t, "event_uuid")],
            [json.loads(bytes(r["payload"]))["event_uuid"] for r in lake.duckdb("inlet_dead_letters", "payload, reason")
             if r["reason"] == "table_unavailable"] if "inlet_dead_letters" in there else [])


def check_once(lake, events, *tables):
    as_rows, as_letters = rows(lake, *tables)
    everything = as_rows + as_letters
    sent = [e["event_uuid"] for e in events]
    assert len(everything) == len(set(everything)), (len(as_rows), len(as_letters), len(set(everything)))
    assert set(everything) == set(sent)
    return as_rows, as_letters


def set_kind(lake, table, kind):
    with contextlib.closing(sqlite3.connect(lake.path / "catalog.db", timeout=30)) as db, db:
        assert db.execute("UPDATE iceberg_tables SET iceberg_type = ? WHERE table_name = ?", (kind, table)).rowcount == 1


def set_format(lake, table, version):
    """Of the Iceberg format, as a table says it; inlet writes the second."""
    path = pathlib.Path(lake.pyiceberg(table).metadata_location.removeprefix("file://"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format-version": version}))


@pytest.mark.parametrize("restarted", [False, True])
def test_a_table_turns_into_a_view_and_back(lake, kinesis, worker, restarted):
    client, _ = kinesis
    stream = f"view{restarted}"
    client.create_stream(StreamName=stream, ShardCount=2)
    args = [stream, "--quarantine-after", "2s"]
    w = worker(*args)
    first = make(200, "order:a", "pay:b")
    put(client, stream, first)
    wait_for(lambda: len(rows(lake, "order", "pay")[0]) == 200)
    set_kind(lake, "pay", "VIEW")
    second = make(200, "order:a", "pay:b")
    put(client, stream, second)
    wait_for(lambda: len(rows(lake, "order")[0]) == 200 and len(rows(lake)[1]) == 100)
    assert w.said("table pay is quarantined")
    if restarted:
        w.end(signal.SIGKILL)
        w = worker(*args)
    third = make(200, "order:a", "pay:b")
    put(client, stream, third)
    wait_for(lambda: len(rows(lake, "order")[0]) == 300 and len(rows(lake)[1]) == 200)
    if restarted:
        w.end(signal.SIGKILL)
        w = worker(*args)
    set_kind(lake, "pay", "TABLE")
    wait_for(lambda: w.said("table pay can be written again"))
    fourth = make(200, "order:a", "pay:b")
    put(client, stream, fourth)
    wait_for(lambda: len(rows(lake, "order", "pay")[0]) == 600)
    w.end()
    as_rows, as_letters = check_once(lake, first + second + third + fourth, "order", "pay")
    assert len(as_letters) == 200
    letters = lake.pyiceberg("inlet_dead_letters").properties
    assert not [k for k in letters if k.startswith("inlet.cover.")], "it has come back: nothing covers it any more"


def test_what_a_table_holds_is_no_letter(lake, kinesis, worker):
    """Though it cannot be written, and its records are read again: by its positions, which can be read."""
    client, _ = kinesis
    client.create_stream(StreamName="no-letter", ShardCount=2)
    w, first, second, third = worker("no-letter"), *(make(200, "order:a", "pay:b") for _ in range(3))
    put(client, "no-letter", first)
    wait_for(lambda: len(rows(lake, "order", "pay")[0]) == 200)
    w.end(signal.SIGKILL)
    change_leases(lake, "UPDATE inlet_leases SET checkpoint = 'TRIM_HORIZON'")  # it is stored every few seconds
    set_format(lake, "pay", 3)
    put(client, "no-letter", second)
    w = worker("no-letter", "--quarantine-after", "1s", "--json")
    wait_for(lambda: len(rows(lake, "order")[0]) == 200 and len(rows(lake)[1]) == 100)
    steal(lake, "shardId-000000000000", "elsewhere:1:1")
    wait_for(lambda: w.said("shard shardId-000000000000 is given up"))
    steal(lake, "shardId-000000000000", None)
    wait_for(lambda: w.said("shard shardId-000000000000 is ours again"))
    set_format(lake, "pay", 2)
    put(client, "no-letter", third)
    wait_for(lambda: w.said("table pay can be written again") and sum(map(len, rows(lake, "order", "pay"))) == 600)
    w.end()
    as_rows, as_letters = check_once(lake, first + second + third, "order", "pay")
    assert {e["event_uuid"] for e in second if e["event_name"] == "pay:b"} <= set(as_letters)


def test_another_table_is_too_many_after_a_kill(lake, kinesis, worker, tmp_path):
    """Its record waited as a row when letters that came after it were committed: it is no such letter."""
    client, _ = kinesis
    client.create_stream(StreamName="one-too-many", ShardCount=1)
    [event], [other] = make(1, "pay:b"), make(1, "order:a")
    args = ["one-too-many", "--max-tables", "1", "--commit-interval", "12s", "--commit-bytes", "64KB"]
    w = worker(*args)
    client.put_record(StreamName="one-too-many", Data=json.dumps(event).encode(), PartitionKey="a")
    client.put_record(StreamName="one-too-many", Data=random.Random(1).randbytes(600_000), PartitionKey="a")
    wait_for(lambda: len(lake.rows("inlet_dead_letters")) == 1)
    w.end(signal.SIGKILL)
    (tmp_path / "other").write_bytes(ndjson([other]))
    lake.load(tmp_path / "other")
    w = worker(*args)
    wait_for(lambda: w.said("events  "))
    w.end()
    check_once(lake, [event, other], *{"pay", "order"} & set(lake.tables()))
    assert all(r["reason"] == "invalid_utf8" for r in lake.duckdb("inlet_dead_letters", "reason"))


# ---- answers that do not come

@pytest.fixture(scope="session")
def lossy(tmp_path_factory):
    """The environment of a catalog, or lease store, that loses answers."""
    so = tmp_path_factory.mktemp("lossy") / "lost_answers.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-O1", "-o", so, ROOT / "tests" / "standin" / "lost_answers.c",
                    "-ldl"], check=True)

    def env(where, percent, after, seed=1):
        return {"LD_PRELOAD": str(so), "ASAN_OPTIONS": "verify_asan_link_order=0", "LOST_IN": where,
                "LOST_PERCENT": str(percent), "LOST_AFTER": str(after), "LOST_SEED": str(seed)}
    return env


@pytest.mark.parametrize("seed", [4, 6])
def test_a_load_whose_catalog_loses_answers(lake, tmp_path, lossy, seed):
    types = [f"t{i}" for i in range(12)]
    events = make(20000, *types)
    path = tmp_path / "events.ndjson"
    path.write_bytes(ndjson(events))
    r = lake.load(path, "--commit-interval", "100ms", "--dedup-window", "0s", "--memory", "48MB", "--commit-bytes", "64KB",
                  env=lossy("catalog.db", 40, 2, seed))
    assert b"is looked up" in r.stderr, "no answer was lost: the test would prove nothing"
    check_once(lake, events, *types)


def test_a_stream_whose_catalog_loses_answers(lake, kinesis, worker, lossy):
    client, env = kinesis
    client.create_stream(StreamName="lossy", ShardCount=2)
    env.update(lossy("catalog.db", 40, 3))
    try:
        w = worker("lossy")
    finally:
        for k in lossy("", 0, 0):
            env.pop(k)
    events = []
    for _ in range(6):
        events += make(300, "order:a", "pay:b", "view")
        put(client, "lossy", events[-300:])
        time.sleep(0.5)
    wait_for(lambda: len(rows(lake, "order", "pay", "view")[0]) >= len(events))
    w.end()
    assert w.said("the commit without an answer was made"), w.log.read_text()[-3000:]
    check_once(lake, events, "order", "pay", "view")


def test_a_lease_store_that_loses_answers(lake, kinesis, worker, lossy):
    client, env = kinesis
    client.create_stream(StreamName="forgetful", ShardCount=2)
    first = make(300, "order:a", "pay:b")
    put(client, "forgetful", first)
    w = worker("forgetful")
    wait_for(lambda: len(rows(lake, "order", "pay")[0]) == 300)
    w.end()
    env.update(lossy("leases.db", 100, 8))
    try:
        w = worker("forgetful")
    finally:
        for k in lossy("", 0, 0):
            env.pop(k)
    wait_for(lambda: w.said("will try again") or w.said("is given up"))
    more = make(300, "order:a", "pay:b")
    put(client, "forgetful", more)
    wait_for(lambda: len(rows(lake, "order", "pay")[0]) == 600)
    w.end(signal.SIGKILL)
    check_once(lake, first + more, "order", "pay")


# ---- leases that go to others

def change_leases(lake, statement, *values):
    """How many rows that changed."""
    with contextlib.closing(sqlite3.connect(lake.path / "leases.db", timeout=30)) as db, db:
        return db.execute(statement, values).rowcount


def steal(lake, shard, owner):
    change_leases(lake, "UPDATE inlet_leases SET owner = ?, counter = counter + 7 WHERE shard = ?", owner, shard)


def test_a_shard_is_lost_and_taken_again(lake, kinesis, worker):
    """Without the run's end: the other shard goes on, and the lost one once its new owner lets go."""
    client, _ = kinesis
    client.create_stream(StreamName="thief", ShardCount=2)
    w = worker("thief")
    first = make(200, "order:a", "pay:b")
    put(client, "thief", first)
    wait_for(lambda: len(rows(lake, "order", "pay")[0]) == 200)
    steal(lake, "shardId-000000000000", "elsewhere:1:1")
    wait_for(lambda: w.said("shard shardId-000000000000 is given up"))
    second = make(200, "order:a", "pay:b")
    put(client, "thief", second)
    wait_for(lambda: 200 < len(rows(lake, "order", "pay")[0]) < 400)
    steal(lake, "shardId-000000000000", None)
    wait_for(lambda: w.said("shard shardId-000000000000 is ours again"))
    wait_for(lambda: len(rows(lake, "order", "pay")[0]) == 400)
    w.end()
    check_once(lake, first + second, "order", "pay")


class Elsewhere:
    """Another worker, of another host, that has the lease of a shard that is not there yet."""

    def __init__(self, lake, shard):
        self.lake, self.shard = lake, shard
        self.change("INSERT INTO inlet_leases SELECT stream, ?, 'elsewhere:1:1', 1, 'TRIM_HORIZON', 0, '', shard, NULL FROM inlet_leases "
                    "WHERE shard = 'shardId-000000000000'")

    def change(self, statement):
        assert change_leases(self.lake, statement, self.shard) == 1

    def works(self):
        self.change("UPDATE inlet_leases SET counter = counter + 1 WHERE shard = ?")

    def ends(self):
        self.change("UPDATE inlet_leases SET owner = NULL WHERE shard = ?")


@pytest.mark.parametrize("he", ["lets go", "is gone"])
def test_a_child_whose_lease_is_held_elsewhere(lake, kinesis, worker, he):
    """The other shards go on, and their commits; it is read once he lets go, or has not been heard of for some time."""
    client, _ = kinesis
    stream, child = f"child-{he.replace(' ', '-')}", "shardId-000000000002"
    client.create_stream(StreamName=stream, ShardCount=2)
    w, events, more = worker(stream), make(200, "order:a", "pay:b"), make(400, "order:a", "pay:b")
    put(client, stream, events)
    wait_for(lambda: len(rows(lake, "order", "pay")[0]) == 200)
    other = Elsewhere(lake, child)
    client.split_shard(StreamName=stream, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**125))
    put(client, stream, more)
    held = [e["event_uuid"] for e in more if hash_key(e) < 2**125]
    wait_for(lambda: other.works() or (len(rows(lake, "order", "pay")[0]) == 600 - len(held) and
                                       w.said(f"{child} is being read by elsewhere:1:1; standing by")))
    assert not set(rows(lake, "order", "pay")[0]) & set(held) and not w.said(f"shard {child} is ours")
    if he == "lets go":
        other.ends()
    wait_for(lambda: len(rows(lake, "order", "pay")[0]) == 600)
    assert w.said(f"shard {child} is ours")
    w.end()
    check_once(lake, events + more, "order", "pay")


def report(w):
    w.end()
    r = json.loads(w.json.read_text())
    assert r["records"] == r["rows"] + r["duplicates"] + r["dead_letters"] + r["skipped"] + r["reread"], r
    assert r["rows"] + r["dead_letters"] == r["rows_committed"], r
    return r


def with_others(events):
    """And ten of them twice, and five that are none."""
    return events + events[:10] + [{"event_uuid": f"none{i}"} for i in range(5)]


def test_records_read_again_are_told_apart(lake, kinesis, worker):
    client, _ = kinesis
    client.create_stream(StreamName="dropped-reread", ShardCount=2)
    events = make(400, "order:a", "pay:b")
    w = worker("dropped-reread", "--commit-interval", "1h", "--json")
    put(client, "dropped-reread", with_others(events))
    wait_for(lambda: w.said("415 events"))
    steal(lake, "shardId-000000000000", "elsewhere:1:1")
    wait_for(lambda: w.said("shard shardId-000000000000 is given up"))
    steal(lake, "shardId-000000000000", None)
    wait_for(lambda: w.said("shard shardId-000000000000 is ours again"))
    more = make(100, "order:a", "pay:b")
    put(client, "dropped-reread", more)
    wait_for(lambda: w.said("930 events"))
    r = report(w)
    assert (r["rows"], r["duplicates"], r["dead_letters"], r["skipped"]) == (500, 10, 5, 0)
    assert r["records"] == 930 and r["reread"] == 415
    check_once(lake, events + more, "order", "pay")


@pytest.mark.parametrize("why", ["table_unavailable", "too_many_tables"])
def test_letters_read_again_count_once(lake, kinesis, worker, why):
    """Of a quarantined table, or of one too many, when another cause makes the stream read again."""
    client, _ = kinesis
    stream, args = f"letters-{why}".replace("_", "-"), []
    client.create_stream(StreamName=stream, ShardCount=2)
    before = []
    if why == "table_unavailable":
        w = worker(stream)
        before = make(2, "order:a", "pay:b")
        put(client, stream, before)
        wait_for(lambda: len(rows(lake, "order", "pay")[0]) == 2)
        w.end()
        set_format(lake, "pay", 3)
    else:
        args = ["--max-tables", "1"]
        (lake.path.parent / "first.ndjson").write_bytes(ndjson(make(1, "order:a")))
        lake.load(lake.path.parent / "first.ndjson")
    events = make(400, "order:a", "pay:b")
    w = worker(stream, "--commit-interval", "1h", "--json", *args)
    put(client, stream, events)
    wait_for(lambda: w.said("400 events"))
    steal(lake, "shardId-000000000000", "elsewhere:1:1")
    wait_for(lambda: w.said("shard shardId-000000000000 is given up"))
    steal(lake, "shardId-000000000000", None)
    wait_for(lambda: w.said("shard shardId-000000000000 is ours again"))
    wait_for(lambda: w.said("800 events"))
    r = report(w)
    assert r["dead_letters_by_reason"] == {why: 200} and r["rows"] == 200
    assert r["records"] == 800 and r["reread"] == 400


def test_records_read_again_after_a_kill_are_told_apart(lake, kinesis, worker):
    client, _ = kinesis
    client.create_stream(StreamName="killed-reread", ShardCount=1)
    events = make(400, "order:a", "pay:b")
    put(client, "killed-reread", with_others(events))
    w = worker("killed-reread")
    wait_for(lambda: len(rows(lake, "order", "pay")[0]) == 400 and len(lake.rows("inlet_dead_letters")) == 5)
    w.end(signal.SIGKILL)  # before its checkpoint, which is stored every five seconds, or after it
    more = make(100, "order:a", "pay:b")
    put(client, "killed-reread", with_others(more))
    w = worker("killed-reread", "--json")
    wait_for(lambda: len(rows(lake, "order", "pay")[0]) == 500)
    r = report(w)
    assert (r["rows"], r["duplicates"], r["dead_letters"]) == (100, 10, 5)
    assert r["skipped"] in (0, 415) and r["reread"] == 0
    check_once(lake, events + more, "order", "pay")


# ---- all of it together

@pytest.mark.parametrize("seed", [4, 6])
def test_chaos(lake, kinesis, worker, lossy, seed):
    """Kills, stolen leases, lost answers and a table that comes and goes, at random."""
    client, env = kinesis
    stream, r, events = f"chaos{seed}", random.Random(seed), []
    client.create_stream(StreamName=stream, ShardCount=2)

    def start():
        env.update(lossy("catalog.db", 15, 6, r.randrange(1000)))
        try:
            return worker(stream, "--quarantine-after", "700ms", "--dedup-window", "0s")
        finally:
            for k in lossy("", 0, 0):
                env.pop(k)
    w = start()
    for _ in range(14):
        events += make(150, "order:a", "pay:b", "stock")
        put(client, stream, events[-150:])
        time.sleep(r.random())
        what = r.choice(["kill", "steal", "view", "table", "table", "wait"])
        with contextlib.suppress(Exception):  # there is no table, no lease yet
            if what == "steal":
                shard = f"shardId-00000000000{r.randrange(2)}"
                steal(lake, shard, "elsewhere:1:1")
                time.sleep(r.random())
                steal(lake, shard, None)
            elif what in ("view", "table"):
                set_kind(lake, "pay", what.upper())
        if what == "kill" or w.p.poll() is not None:
            w.p.kill()
            w.p.wait()
            w = start()
    set_kind(lake, "pay", "TABLE")
    w.p.kill()
    w.p.wait()
    run("run", "--stream", f"kinesis://{stream}", "--lake", lake.path, "--until-caught-up", "--dedup-window", "0s", env=env)
    check_once(lake, events, "order", "pay", "stock")
