"""inlet load, read back through PyIceberg, DuckDB and pyarrow."""
import datetime
import gzip
import json
import random
import subprocess
import uuid

import model
import pytest
from conftest import INLET, Lake, load_with_peak, ndjson, run


def event(name="payment:order:completed", created_at=1712844605.5, **fields):
    return {"event_uuid": str(uuid.uuid4()), "event_name": name, "created_at": created_at, **fields}


def load(lake, events, *args, **kw):
    return lake.load("-", *args, stdin=events if isinstance(events, bytes) else ndjson(events), **kw)


def test_first_rows(lake):
    events = [event(amount=12, user={"id": 7, "tags": ["a", "b"]}), event("account:created", plan="free")]
    load(lake, events)
    assert [t for t in lake.tables() if not t.startswith("inlet_")] == ["account", "payment"]
    model.check(lake, events)
    row = lake.rows("payment")[0]
    assert row["event_type"] == "payment" and row["event_subtype"] == "order"
    assert row["created_datetime"] == "2024-04-11T14:10:05.5Z"
    assert row["event_time"] == datetime.datetime(2024, 4, 11, 14, 10, 5, 500000, tzinfo=row["event_time"].tzinfo)


@pytest.mark.parametrize("sent,datetime_text", [
    ("1712844605", "2024-04-11T14:10:05Z"), ("1712844605.9512355", "2024-04-11T14:10:05.9512355Z"),
    ("1712844605123", "2024-04-11T14:10:05.123Z"), ("0", "1970-01-01T00:00:00Z"), ('"1712844605.5"', "2024-04-11T14:10:05.5Z")])
def test_created_at(lake, sent, datetime_text):
    e = event()
    line = json.dumps(e).replace("1712844605.5", sent)
    load(lake, (line + "\n").encode())
    row, = lake.rows("payment")
    assert row["created_datetime"] == datetime_text
    model.check(lake, [json.loads(line)])


@pytest.mark.parametrize("line,reason", [
    (b"nonsense", "invalid_json"), (b'{"event_uuid": "a", "event_name": "b"', "invalid_json"), (b"[1]", "not_an_object"),
    (b"17", "not_an_object"), (b'{"event_name":"a:b","created_at":1}', "missing_event_uuid"),
    (b'{"event_uuid":null,"event_name":"a:b","created_at":1}', "missing_event_uuid"),
    (b'{"event_uuid":"","event_name":"a:b","created_at":1}', "invalid_event_uuid"),
    (b'{"event_uuid":"x","event_name":":b","created_at":1}', "invalid_event_name"),
    (b'{"event_uuid":"x","event_name":"a"}', "missing_created_at"),
    (b'{"event_uuid":"x","event_name":"a","created_at":true}', "invalid_created_at"),
    (b'{"event_uuid":"x","event_name":"a","created_at":-1}', "created_at_out_of_range"),
    (b'{"event_uuid":"x","event_name":"a","created_at":1,"k":"\xff"}', "invalid_utf8"),
    (b'{"event_uuid":"x","event_name":"' + b"n" * 10000 + b'","created_at":1}', "invalid_event_name"),
    (b'{"event_uuid":"x","event_name":"a","created_at":1,"k":' + b"[" * 100000 + b"]" * 100000 + b"}", "nesting_too_deep")],
    ids=lambda v: v if isinstance(v, str) else "")
def test_dead_letters(lake, line, reason):
    good = event()
    load(lake, line + b"\n" + ndjson([good]))
    dead, = lake.rows("inlet_dead_letters")
    assert dead["reason"] == reason
    assert bytes(dead["payload"]) == line
    model.check(lake, [good])


@pytest.mark.parametrize("value", [
    "1e999", "-0", "0.1e-400", "99999999999999999999", "9007199254740993", "[]", "{}", "[[]]", "[1,null,2]", '[1,"a"]', '"\\u0000"', '"\\ud800"',
    '"\\u00e9\\n"', '{"a":{"b":[{"c":1},{"d":2},null]}}', '[{"x":[1,2]},{"x":[]},{}]', "true", "null", '{"a":null}', '"' + "x" * 100000 + '"'], ids=range(19))
def test_values(lake, value):
    events = [event(), event(k="text"), event(), event(k=3), event(k={"z": 1}), event(k=[1.5])]
    lines = [json.dumps(e) for e in events]
    odd = []
    for key in ("k", "fresh", "Fresh", "fr.esh", "event_type", "ключ"):
        e = event()
        odd.append(json.dumps(e)[:-1] + f', "{key}": {value}}}')
    lines = odd[:1] + lines + odd[1:]
    load(lake, ("\n".join(lines) + "\n").encode())
    model.check(lake, [json.loads(x) for x in lines])


def test_duplicate_keys_last_wins(lake):
    line = '{"event_uuid":"u","event_name":"a:b","created_at":1,"k":1,"o":{"x":1,"x":"s"},"k":"two"}'
    load(lake, (line + "\n").encode())
    model.check(lake, [json.loads(line)])


def test_duplicates_dropped(lake):
    events = [event(n=i) for i in range(100)]
    load(lake, events + events)
    model.check(lake, events)


def test_file_twice_adds_nothing(lake, tmp_path):
    path = tmp_path / "events.ndjson"
    events = [event(n=i) for i in range(1000)]
    path.write_bytes(ndjson(events))
    for _ in range(2):
        lake.load(path)
        model.check(lake, events)
    more = [event(n=i) for i in range(10)]
    with open(path, "ab") as f:
        f.write(ndjson(more))
    lake.load(path)
    model.check(lake, events + more)


@pytest.mark.parametrize("kind", ["gz", "zst", "crlf", "bom", "no newline"])
def test_file_forms(lake, tmp_path, kind):
    events = [event(n=i) for i in range(50)]
    data = ndjson(events)
    path = tmp_path / "f"
    if kind == "gz":
        data = gzip.compress(data[:1000]) + gzip.compress(data[1000:])
    elif kind == "zst":
        import zstandard
        data = zstandard.compress(data)
    elif kind == "crlf":
        data = data.replace(b"\n", b"\r\n")
    elif kind == "bom":
        data = b"\xef\xbb\xbf" + data
    else:
        data = data[:-1]
    path.write_bytes(data)
    lake.load(path)
    model.check(lake, events)


def random_value(r, depth=0):
    kind = r.randrange(10 if depth < 3 else 7)
    if kind == 0:
        return r.choice([True, False])
    if kind == 1:
        return r.choice([0, -1, r.randrange(2**63), -r.randrange(2**63), 2**53 + 1, r.randrange(2**70)])
    if kind == 2:
        return r.choice([0.5, -1e-7, 1e300, r.random()])
    if kind in (3, 4):
        return "".join(r.choice('ab"\\/\n\té€😀') for _ in range(r.randrange(12)))
    if kind == 5:
        return None
    if kind == 6:
        return r.randrange(100)
    if kind == 7:
        return [random_value(r, depth + 1) for _ in range(r.randrange(4))]
    return {r.choice(["a", "b", "A", "c d", "x.y", "é"]): random_value(r, depth + 1) for _ in range(r.randrange(4))}


@pytest.mark.parametrize("seed", range(12))
def test_random_events_rebuild(lake, seed):
    r = random.Random(seed)
    events = []
    for _ in range(300):
        e = event(r.choice(["a:x", "a:y", "b", "c:d:e"]), r.choice([1700000000, 1700000000.25, 1699990000.125]))
        for _ in range(r.randrange(6)):
            e[r.choice(["p", "q", "r", "P", "s t", "u", "event_time"])] = random_value(r)
        events.append(e)
    args = [("--threads", "1"), ("--threads", "2"), ("--threads", "2", "--memory", "64MB")][seed % 3]
    for part in range(0, 300, 100):
        load(lake, events[part:part + 100], *args)
    model.check(lake, events)


def test_unreadable_position_is_not_taken_for_none(lake, tmp_path):
    """Positions that could not be read once counted as none: rows would have come twice."""
    path = tmp_path / "events.ndjson"
    events = [event(n=i) for i in range(1000)]  # over 64 KiB: the file that grew is the same stream
    path.write_bytes(ndjson(events))
    lake.load(path)
    table = lake.pyiceberg("payment")
    key, = [k for k in table.properties if k.startswith("inlet.position.")]
    with table.transaction() as tx:
        tx.set_properties({key: "{not json"})
    with open(path, "ab") as f:
        f.write(ndjson([event(n=99)]))
    r = lake.load(path, check=False)
    assert r.returncode == 1 and b"payment" in r.stderr, r.stderr
    model.check(lake, events)


def test_a_fault_at_the_start_sends_nothing_to_dead_letters(lake):
    """A table whose metadata cannot be read just now ends the load, loudly; later it goes on."""
    import pathlib
    load(lake, [event(n=1)])
    path = pathlib.Path(lake.pyiceberg("payment").metadata_location.removeprefix("file://"))
    kept = path.with_suffix(".kept")
    path.rename(kept)
    path.symlink_to(path)  # a loop: opening it fails, also for root
    e = event(n=2)
    r = load(lake, [e], check=False)
    assert r.returncode == 1 and b"payment" in r.stderr
    path.unlink()
    kept.rename(path)
    assert "inlet_dead_letters" not in lake.tables()
    load(lake, [e])
    assert sorted(r["n"] for r in lake.rows("payment")) == [1, 2]


def test_dead_letters_name_their_file(lake, tmp_path):
    """All were once said to come from the first file."""
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(f"bad {name}\n".encode() + ndjson([event()]))
    lake.load(*(tmp_path / name for name in ("a", "b", "c")))
    dead = lake.rows("inlet_dead_letters")
    assert sorted((bytes(d["payload"]).decode()[-1], d["stream"].split("#")[0]) for d in dead) == [
        (name, f"file:{(tmp_path / name).resolve()}") for name in ("a", "b", "c")]
    assert all(d["_shard"] is None and d["_sequence"] is None and d["sub_sequence"] is None for d in dead)


@pytest.mark.parametrize("mad", ["names", "types", "columns"])
def test_a_producer_gone_mad(lake, tmp_path, mad):
    """A name, a type, or keys of its own for every event: memory stays in its bounds, and every event is there."""
    n = 60000
    path = tmp_path / "mad.ndjson"
    with open(path, "w") as f:
        for i in range(n):
            name = {"names": f"a:n{i}", "types": f"t{i}", "columns": "a:b"}[mad]
            own = f'"k{i}": {i}, "m": {{"x{i}": 1}}' if mad == "columns" else '"v": 1, "o": {"p": "text", "q": [1, 2]}'
            f.write(f'{{"event_uuid": "{uuid.uuid4()}", "event_name": "{name}", "created_at": {1700000000 + i % 1000}, {own}}}\n')
    out, peak = load_with_peak(lake, path, "--memory", "64MB", "--max-tables", "20", "--no-fsync")
    assert out["records"] == n
    assert out["rows_committed"] == n
    assert out["dead_letters"] == (n - 20 if mad == "types" else 0)
    if "asan" not in INLET and "tsan" not in INLET:
        assert peak < 300, f"{peak} MB"


def test_few_rows_of_a_day_wait_for_more(lake, tmp_path):
    """So little memory that rows are encoded many times before they are committed: those of a day that has few
    of them go into few row groups, not one each time."""
    n = 60000
    late = set(range(500, n, 1000))
    events = [event(name="page:open", created_at=1712844605 - 86400 * (i in late), pad=f"{i}" + "p" * 900) for i in range(n)]
    path = tmp_path / "e.ndjson"
    path.write_bytes(ndjson(events))
    lake.load(path, "--memory", "64MB", "--threads", "1")
    files = [t.file for t in lake.pyiceberg("page").scan().plan_files()]
    few = [f for f in files if f.record_count <= len(late)]
    assert sum(f.record_count for f in few) == len(late) and sum(f.record_count for f in files) == n
    assert max(lake.groups("page")) > 2, "rows were to be encoded in several steps"
    # How many steps there are is the scheduler's, and so is whether the last one finds all of them waiting.
    assert 3 * sum(len(f.split_offsets) for f in few) <= sum(lake.groups("page"))
