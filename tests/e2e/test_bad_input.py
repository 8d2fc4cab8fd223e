"""Bad input: each is a clear error or a counted dead letter, costs little memory, and nothing else is lost."""
import json
import os
import sqlite3
import subprocess
import threading
import time
import uuid

import expected
import model
import pytest
from conftest import INLET, Lake, load_with_peak, ndjson, run
from test_load import event, load
from test_run import make, put

SANITIZED = "san" in os.environ.get("INLET", "").split("/")[-2:][0]
GOOD = {"event_uuid": "u", "event_name": "a:b", "created_at": 1}


def said(r, *words):
    text = r.stderr.decode()
    assert r.returncode == (2 if "did you mean" in words else 1), text
    for w in words:
        assert w in text, text
    assert "\n\tat " not in text and "Sanitizer" not in text


# ---- the bytes

@pytest.mark.parametrize("data", [b"", b"\n", b"\n\n \n\t\n\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"], ids=range(5))
@pytest.mark.parametrize("how", ["-", "file", "gz"])
def test_nothing_to_load(lake, tmp_path, data, how):
    import gzip
    path = tmp_path / "f"
    path.write_bytes(gzip.compress(data) if how == "gz" else data)
    r = lake.load("-" if how == "-" else path, "--json", stdin=data)
    out = json.loads(r.stdout)
    assert out["rows_committed"] == out["dead_letters"] == 0
    assert not (lake.path / "catalog.db").exists() or set(lake.tables()) <= {"inlet_loads"}


def many_keys(n, key):
    return json.dumps(GOOD)[:-1] + "," + ",".join(key(i) for i in range(n)) + "}"


HEAVY = {  # name: (lines, rows, {reason: dead letters}, MB of --memory 64MB beside it)
    "10 MiB strings": ([json.dumps({**GOOD, "event_uuid": f"u{i}", "k": "x" * (9 << 20)}) for i in range(6)], 6, {}, 0),
    "10 MiB of escapes": ([json.dumps({**GOOD, "event_uuid": f"u{i}"})[:-1] + ',"k":"' + "\\u00e9" * (3 << 19) + '"}' for i in range(4)], 4, {}, 0),
    "lines beyond the limit": ([json.dumps({**GOOD, "k": "x" * (15 << 20)}) for _ in range(4)], 0, {"record_too_large": 4}, 0),
    "dead letters of 9 MiB": (['{"a":"' + "y" * (9 << 20) for _ in range(6)], 0, {"invalid_json": 6}, 0),
    "100,000 deep": ([json.dumps(GOOD)[:-1] + ',"k":' + o * 100000 + c * 100000 + "}" for o, c in (("[", "]"), ('{"a":', "}")) for _ in range(8)],
                     0, {"nesting_too_deep": 16}, 0),
    "900 deep": ([json.dumps({**GOOD, "event_uuid": f"u{i}"})[:-1] + ',"k":' + "[" * 900 + "]" * 900 + "}" for i in range(500)], 500, {}, 0),
    # One record of 10 MB in pieces of ten bytes is 50 to 100 MB of tokens and columns: beyond a budget of 64 MB.
    "a million keys": ([many_keys(600000, lambda i: f'"k{i}":{i}')], 1, {}, 96),
    "one key a million times": ([many_keys(900000, lambda i: f'"k":{i}')], 1, {}, 48),
    "a list of a million": ([json.dumps({**GOOD, "k": list(range(1000000))})], 1, {}, 96),
}


@pytest.mark.parametrize("name", HEAVY)
def test_heavy_records_cost_no_more_than_the_budget(tmp_path, name):
    lines, rows, dead, beside = HEAVY[name]
    path, lake = tmp_path / "f", Lake(tmp_path / "lake")
    path.write_text("\n".join(lines + [json.dumps({**GOOD, "event_uuid": "good", "event_name": "good"})]) + "\n")
    out, peak = load_with_peak(lake, path, "--memory", "64MB")
    assert out["rows"] == rows + 1 and out["dead_letters_by_reason"] == dead
    assert SANITIZED or peak <= 64 + beside, f"{peak} MB"
    assert len(lake.duckdb("good", "event_uuid")) == 1
    if rows:
        sent = {e["event_uuid"]: e for e in (expected.plain(line) for line in lines)}
        got = lake.rows("a")
        schema = lake.pyiceberg("a").schema()
        assert {g["event_uuid"] for g in got} == sent.keys()
        for g in got[:2]:
            assert model.same(model.normal(model.rebuild(g, schema)), model.normal(sent[g["event_uuid"]]))
    elif name != "lines beyond the limit":
        assert sorted(bytes(d["payload"]).decode() for d in lake.rows("inlet_dead_letters")) == sorted(lines)
    else:  # of what is longer, the first 10 MiB
        assert all(lines[0].encode().startswith(bytes(d["payload"])) and len(d["payload"]) == 10 << 20 for d in lake.rows("inlet_dead_letters"))


def test_event_types_without_end(tmp_path):
    """Names beyond --max-tables are dead letters, and what was learned of them does not stay."""
    path, lake = tmp_path / "f", Lake(tmp_path / "lake")
    with open(path, "w") as f:
        for i in range(150000):
            f.write(f'{{"event_uuid":"u{i}","event_name":"name-{i}:{"x" * 90}","created_at":1,"k":1}}\n')
    out, peak = load_with_peak(lake, path, "--memory", "64MB", "--max-tables", 5, "--threads", 1)
    assert out["rows"] == 5 and out["dead_letters_by_reason"] == {"too_many_tables": 149995}
    assert SANITIZED or peak <= 128, f"{peak} MB"
    assert len(set(lake.tables()) - {"inlet_loads"}) == 6


ENVELOPES = [("event_uuid", v, "missing_event_uuid" if v == "null" else "invalid_event_uuid")
             for v in ("null", '""', "1", "1.5", "true", "[]", "{}", '["u"]', '"\\u0000"', '"\\ud800"', '"' + "u" * 257 + '"')] + [
    ("event_name", v, "missing_event_name" if v == "null" else "invalid_event_name")
    for v in ("null", '""', "1", "true", "[]", "{}", '":a"', '"::"', '"\\u0000"', '"\\udfff"', '"a\\u0001"', '"' + "n" * 10000 + '"')] + [
    ("created_at", v, "missing_created_at" if v == "null" else "invalid_created_at")
    for v in ("null", "true", "[]", "{}", '""', '"now"', '"1e"', '"0x10"', '" 1"', '"2026-01-01T00:00:00Z"', '"NaN"', '"\\u0000"')] + [
    ("created_at", v, "created_at_out_of_range") for v in ("-1", "-0.001", "1e300", "1e999", "253402300800e9", '"-5"', "99e30")]


def test_envelope_fields_of_every_wrong_kind(lake):
    lines = [json.dumps(GOOD).replace(f'"{key}": {json.dumps(GOOD[key])}', f'"{key}": {value}') for key, value, _ in ENVELOPES]
    for key in GOOD:
        lines.append(json.dumps({k: v for k, v in GOOD.items() if k != key}))
    lake.load("-", "--threads", 1, stdin=ndjson(lines + [json.dumps(GOOD)]))
    dead = {bytes(d["payload"]).decode(): d for d in lake.rows("inlet_dead_letters")}
    for line, want in zip(lines, [r for _, _, r in ENVELOPES] + ["missing_" + key for key in GOOD]):
        assert dead[line]["reason"] == want and dead[line]["message"], line[:100]
    assert len(dead) == len(lines) and len(lake.rows("a")) == 1


@pytest.mark.parametrize("keys", [["ключ", "Ключ"], ["鍵", "键"], ["a.b", "a_b", "a b"], ["k", "K"], ["Event_Type", "event_type", "EVENT_UUID"],
                                  ["_rescued", "_shard", "_sequence", "_arrived_at"], ["", " ", "_"], ["é", "e\u0301"], ["a" * 128, "a" * 129, "a" * 5000],
                                  ["created_datetime", "event_time", "event_subtype"], ["__proto__", "select", "1", "-"]], ids=lambda k: k[0][:12])
def test_column_names(lake, keys):
    events = [event(**{k: i for i, k in enumerate(keys)}), event(o={k: "x" for k in keys}), event(**{k: 2.5 for k in reversed(keys)}),
              event(l=[{k: True for k in keys}, {}])]
    load(lake, events, "--threads", 1)
    model.check(lake, events)
    names = [f.name for f in lake.pyiceberg("payment").schema().fields]
    assert len({n.lower() for n in names}) == len(names) and all(n and set(n) <= set("abcdefghijklmnopqrstuvwxyz0123456789_") for n in names)


# ---- the disk

@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB of its own."""
    at = tmp_path / "disk"
    at.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(at)], capture_output=True).returncode:
        pytest.skip("a file system cannot be mounted here: only root may")
    yield at
    subprocess.run(["umount", "-l", str(at)], check=True)


def remount(at, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(at)], check=True)


def test_a_full_disk(small_disk, tmp_path):
    path, lake = tmp_path / "f", Lake(small_disk / "lake")
    path.write_bytes(run("gen", "--events", "60000", "--seed", "3", "--start", "2026-11-20T00:00:00Z", "--malformed", "0").stdout)
    said(lake.load(path, check=False), "No space left on device")
    for t in lake.tables() if (lake.path / "catalog.db").exists() else []:
        lake.rows(t)  # what is there can be read
    remount(small_disk, "size=200m")
    lake.load(path)
    sent = {json.loads(line)["event_uuid"] for line in path.read_bytes().splitlines()}
    rows = [r["event_uuid"] for t in lake.tables() if not t.startswith("inlet_") for r in lake.duckdb(t, "event_uuid")]
    assert len(rows) == len(set(rows)) and set(rows) == sent


def test_no_room_for_a_folder(small_disk, tmp_path):
    """Is a full disk as well, and no table that is gone: nothing becomes a dead letter."""
    path, lake, first, more = tmp_path / "f", Lake(small_disk / "lake"), [event(n=1)], [event("account:created", n=2)]
    path.write_bytes(ndjson(first))
    lake.load(path)
    path.write_bytes(ndjson(more))
    used = os.statvfs(small_disk)
    remount(small_disk, f"nr_inodes={used.f_files - used.f_ffree + 2}")
    said(lake.load(path, check=False), "No space left on device")
    remount(small_disk, f"nr_inodes={used.f_files}")
    lake.load(path)
    model.check(lake, first + more)
    assert "inlet_dead_letters" not in lake.tables() or lake.rows("inlet_dead_letters") == []


def test_a_stream_waits_for_room_on_the_disk(small_disk, kinesis, tmp_path):
    client, env = kinesis
    client.create_stream(StreamName="full", ShardCount=1)
    events = [e for _ in range(8) for e in make(400)]
    for e in events:
        e["text"] = "".join(str(uuid.uuid4()) for _ in range(4))
    put(client, "full", events)
    lake, filler = Lake(small_disk / "lake"), small_disk / "filler"
    with open(filler, "wb") as f, open(tmp_path / "log", "wb") as log:
        room = os.statvfs(small_disk)
        f.write(b"\0" * (room.f_bavail * room.f_frsize - (120 << 10)))
        f.flush()
        p = subprocess.Popen([INLET, "run", "--stream", "kinesis://full", "--lake", str(lake.path), "--until-caught-up", "--commit-interval", "200ms"],
                             stdout=subprocess.DEVNULL, stderr=log, env={**os.environ, **env})
        until = time.time() + 60
        while b"No space left" not in (tmp_path / "log").read_bytes() and p.poll() is None:
            assert time.time() < until
            time.sleep(0.1)
        remount(small_disk, "size=200m")
        p.wait(timeout=60)
    if p.returncode:  # it may have given up at the end; nothing is lost
        run("run", "--stream", "kinesis://full", "--lake", lake.path, "--until-caught-up", env=env)
    assert b"No space left" in (tmp_path / "log").read_bytes()
    model.check(lake, events)


def test_what_a_full_disk_does_not_take_waits_in_memory(small_disk, kinesis, tmp_path):
    """A stream's files are written while they are encoded. Where that fails, what was encoded is neither lost nor read again: it
    is kept until there is room."""
    client, env = kinesis
    client.create_stream(StreamName="spool", ShardCount=1)
    events = [event(n=i, text="".join(str(uuid.uuid4()) for _ in range(250))) for i in range(4000)]
    put(client, "spool", events)
    lake, log = Lake(small_disk / "lake"), tmp_path / "log"
    with open(log, "wb") as err, open(tmp_path / "out", "wb") as out:
        p = subprocess.Popen([INLET, "run", "--stream", "kinesis://spool", "--lake", str(lake.path), "--until-caught-up", "--commit-interval", "1h",
                              "--memory", "64MB", "--json"], stdout=out, stderr=err, env={**os.environ, **env})
        until = time.time() + 60
        while b"it is kept in memory" not in log.read_bytes():
            assert time.time() < until and p.poll() is None, log.read_bytes()
            time.sleep(0.02)
        remount(small_disk, "size=200m")
        assert p.wait(timeout=60) == 0
    assert b"is dropped and read again" not in log.read_bytes()
    report = json.loads((tmp_path / "out").read_bytes())
    assert report["reread"] == 0 and report["rows_committed"] == len(events)
    assert not list(lake.path.rglob("*.tmp"))
    model.check(lake, events)


def test_a_read_only_lake(small_disk):
    lake = Lake(small_disk / "lake")
    first = [event(n=1)]
    load(lake, first)
    remount(small_disk, "ro")
    said(load(lake, [event(n=2)], check=False), str(lake.path), "may not be written")
    r = run("load", "-", "--lake", small_disk / "other", stdin=ndjson([event()]), check=False)
    said(r, str(small_disk / "other"), "Read-only file system")
    assert b"payment" in run("tables", "--lake", lake.path).stdout
    model.check(lake, first)
    remount(small_disk, "rw")
    more = [event(n=3)]
    load(lake, more)
    model.check(lake, first + more)


def test_a_folder_that_cannot_be_made(lake, tmp_path):
    """Of one table, that is new: its events are letters, whatever was planned for its columns, and come back."""
    events = [event(tags=["a"], items=[{"n": [1]}], user={"id": 1}), event("account:created", n=1)]
    path, folder = tmp_path / "f", lake.path / "events" / "payment"
    path.write_bytes(ndjson(events))
    folder.parent.mkdir(parents=True)
    folder.symlink_to(tmp_path / "gone" / "payment")
    r = lake.load(path, "--json")
    assert json.loads(r.stdout)["dead_letters_by_reason"] == {"table_unavailable": 1} and b"payment is quarantined" in r.stderr
    folder.unlink()
    run("replay", "--lake", lake.path)
    row, = lake.rows("payment")
    assert (row["tags"], row["items"], row["user"]) == (["a"], [{"n": [1]}], {"id": 1})
    assert len(lake.rows("account")) == 1


# ---- the catalog

@pytest.mark.parametrize("what", ["text", "folder", "cut", "other tables"])
def test_a_catalog_that_is_none(lake, what):
    load(lake, [event()])
    path = lake.path / "catalog.db"
    data = path.read_bytes()
    path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "other tables":
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE iceberg_tables (name TEXT)")
    else:
        path.write_bytes(b"this is not a database, but a text of some length\n" * 20 if what == "text" else data[:len(data) // 2 + 100])
    r = load(lake, [event()], check=False)
    said(r, str(path))
    if what == "text":
        assert path.read_bytes().startswith(b"this is not")


@pytest.mark.long
@pytest.mark.parametrize("held", [2, 16])
def test_a_catalog_that_is_locked(lake, held):
    """It is waited for; after ten seconds that is said."""
    first, more = [event(n=1)], [event(n=2, fresh=True)]
    load(lake, first)
    db = sqlite3.connect(lake.path / "catalog.db", isolation_level=None, check_same_thread=False)
    db.execute("BEGIN EXCLUSIVE" if held == 2 else "BEGIN IMMEDIATE")
    timer = threading.Timer(held, lambda: db.execute("ROLLBACK"))
    timer.start()
    r = load(lake, more)
    timer.join()
    assert (b"is locked by another program" in r.stderr) == (held > 10)
    model.check(lake, first + more)


def test_a_catalog_with_a_write_ahead_log_and_a_reader_without_end(lake):
    """As Java's catalog in Spark is one: the log stays, and commits go on."""
    first, more = [event(n=1)], [event(n=2, fresh=True)]
    load(lake, first)
    with sqlite3.connect(lake.path / "catalog.db") as db:
        assert db.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
    reader = sqlite3.connect(lake.path / "catalog.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM iceberg_tables").fetchall()
    load(lake, more, timeout=60)
    model.check(lake, first + more)
    assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    reader.close()


@pytest.mark.parametrize("what", ["snap-*.avro", "*-m0.avro", "*.parquet"])
def test_a_file_of_the_lake_that_is_damaged_is_named(lake, what):
    load(lake, [event(n=1), event("account:created")])
    for path in lake.path.glob(f"events/payment/**/{what}"):
        os.truncate(path, 100)
    said(load(lake, [event(n=2)], check=False), "table payment", "/events/payment/")
    if not what.endswith(".parquet"):
        said(run("tables", "--lake", lake.path, check=False), "table payment", "/events/payment/metadata/")


# ---- settings

@pytest.mark.parametrize("args,words", [
    (["load", "-", "--commit-intervall", "1s"], ["--commit-intervall", "--commit-interval"]), (["lod", "-"], ["lod", "load"]),
    (["run", "--stream", "kinesis://x", "--until-caught"], ["--until-caught-up"])])
def test_an_unknown_word_names_the_nearest(lake, args, words):
    said(run(*args, "--lake", lake.path, stdin=b"", check=False), "did you mean", *words)
    assert not lake.path.exists()


def test_an_unknown_key_names_file_line_and_the_nearest(lake, tmp_path):
    config = tmp_path / "inlet.yaml"
    config.write_text("lake: x\ncommit_intervall: 1s\n")
    said(run("load", "-", "--config", config, stdin=b"", check=False), "did you mean", f"{config}:2", "commit_intervall", "commit_interval")


@pytest.mark.parametrize("name", ["missing.ndjson", "."])
def test_a_file_that_cannot_be_read(lake, tmp_path, name):
    r = lake.load(tmp_path / name, check=False)
    assert r.returncode in (1, 2) and str(tmp_path).encode() in r.stderr


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_compressed_files_that_are_cut_or_damaged(lake, tmp_path, kind):
    import gzip

    import zstandard
    events = [event(n=i, pad=str(uuid.uuid4())) for i in range(3000)]
    data = (gzip.compress if kind == "gz" else zstandard.ZstdCompressor(write_checksum=True).compress)(ndjson(events))
    for i, bad in enumerate((data[:len(data) // 2], data[:len(data) // 2] + b"damage!!" + data[len(data) // 2 + 8:])):
        path = tmp_path / f"f{i}.{kind}"
        path.write_bytes(bad)
        said(lake.load(path, check=False), str(path))
    whole = tmp_path / f"whole.{kind}"
    whole.write_bytes(data)
    lake.load(whole)
    rows = [r["event_uuid"] for r in lake.duckdb("payment", "event_uuid")]
    assert sorted(rows) == sorted(e["event_uuid"] for e in events)


# ---- the stream

def test_no_credentials(lake, kinesis, tmp_path):
    env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    env.update(AWS_ENDPOINT_URL=kinesis[1]["AWS_ENDPOINT_URL"], AWS_REGION="eu-west-1", HOME=str(tmp_path), AWS_EC2_METADATA_DISABLED="true")
    r = subprocess.run([INLET, "run", "--stream", "kinesis://x", "--lake", str(lake.path), "--until-caught-up"], env=env, capture_output=True, timeout=60)
    said(r, "no AWS credentials", "AWS_ACCESS_KEY_ID")


@pytest.mark.parametrize("code", ["UnrecognizedClientException", "AccessDeniedException", "ExpiredTokenException"])
def test_wrong_credentials(lake, aws, faults, code):
    faults.add({"fault": "status", "status": 400, "code": code, "target": "Kinesis"})
    r = run("run", "--stream", "kinesis://x", "--lake", lake.path, "--until-caught-up", env={**aws[1], "AWS_ENDPOINT_URL": faults.url}, check=False)
    said(r, code)
    assert aws[1]["AWS_SECRET_ACCESS_KEY"] * 3 not in r.stderr.decode()


@pytest.mark.long
def test_an_endpoint_that_is_down(lake, aws):
    r = run("run", "--stream", "kinesis://x", "--lake", lake.path, "--until-caught-up", "--start-patience", "1s",
            env={**aws[1], "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, check=False)
    said(r, "127.0.0.1:9")


def test_an_endpoint_that_comes_back(lake, aws, faults):
    """Down at the start, and again in mid-stream."""
    client, events = aws[0]("kinesis"), make(500)
    client.create_stream(StreamName="back", ShardCount=2)
    put(client, "back", events)
    faults.add({"fault": "reset", "times": 4}, {"fault": "reset", "target": "GetRecords", "skip": 1, "times": 6})
    run("run", "--stream", "kinesis://back", "--lake", lake.path, "--until-caught-up", env={**aws[1], "AWS_ENDPOINT_URL": faults.url})
    assert all(r["struck"] == r["times"] for r in faults.rules())
    model.check(lake, events)
