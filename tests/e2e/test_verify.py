"""inlet verify: a sound lake passes, and each kind of damage is found."""
import json
import os

import pyarrow as pa

from conftest import ndjson, run
from test_run import consume, make, put


def verify(lake, *args, check=True):
    r = run("verify", "--lake", lake.path, "--json", *args, check=False)
    report = json.loads(r.stdout)
    assert (r.returncode == 0) == report["ok"] and r.returncode in (0, 1), r.stderr
    return {t["table"]: t for t in report["tables"]}


def said(lake, table="order"):
    return "\n".join(verify(lake)[table]["said"])


def files(lake, table="order"):
    return sorted((lake.path / "events" / table / "data").rglob("*.parquet"))


def stream_lake(lake, kinesis, name, n=200):
    client, env = kinesis
    client.create_stream(StreamName=name, ShardCount=2)
    put(client, name, make(n))
    client.put_record(StreamName=name, Data=b"no", PartitionKey="a")
    consume(lake, name, env)


def test_a_sound_lake(lake, kinesis):
    stream_lake(lake, kinesis, "sound")
    lake.load("-", stdin=ndjson(make(10)))
    tables = verify(lake)
    assert tables["order"]["rows"] == 210 and tables["order"]["stream_rows"] == 200
    assert tables["inlet_dead_letters"]["stream_rows"] == 1
    assert all(t["problems"] == t["duplicates"] == 0 for t in tables.values())
    text = run("verify", "--lake", lake.path, "order").stdout.decode().splitlines()
    assert text[0].split()[0] == "TABLE" and text[1].split()[:3] == ["order", "210", "2"] and len(text) == 3


def test_more_rows_than_memory(lake):
    """The files are read in several passes; what is twice is found all the same."""
    events = run("gen", "--events", "260000", "--types", "1", "--duplicates", "0", "--malformed", "0").stdout
    for _ in range(2):
        lake.load("-", "--dedup-window", "0", "--no-fsync", stdin=events)
    [t] = verify(lake, "--memory", "32MB").values()
    assert t["passes"] > 1 and t["rows"] == 520000 and t["duplicates"] == 260000 and t["problems"] == 0


def test_missing_cut_and_broken_files(lake):
    lake.load("-", stdin=ndjson(make(50)))
    [f] = files(lake)
    whole = f.read_bytes()
    f.write_bytes(whole[:-10])
    assert "its manifest says" in said(lake)
    for at in range(4, len(whole) - 8, max(1, len(whole) // 40)):  # never a crash
        f.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1:])
        verify(lake)
    f.write_bytes(bytes(len(whole)))
    assert "Parquet" in said(lake)
    f.unlink()
    assert "No such file" in said(lake)
    f.write_bytes(whole)
    assert said(lake) == ""


def test_records_and_events_twice(lake, kinesis):
    stream_lake(lake, kinesis, "twice")
    table = lake.pyiceberg("order")
    rows = table.scan(limit=3).to_arrow()
    table.append(rows)
    t = verify(lake)["order"]
    assert t["duplicates"] == 3 and t["problems"] == 3 and "in the table twice" in t["said"][0]


def test_beyond_the_position(lake, kinesis):
    stream_lake(lake, kinesis, "beyond")
    table = lake.pyiceberg("order")
    [key] = [k for k in table.properties if k.startswith("inlet.position.arn:")]
    positions = json.loads(table.properties[key])
    shard = sorted(positions)[0]
    rows = [r for r in lake.rows("order") if r["_shard"] == shard]
    positions[shard] = min((r["_sequence"] for r in rows), key=int)
    with table.transaction() as t:
        t.set_properties({key: json.dumps(positions)})
    found = verify(lake)["order"]
    assert found["problems"] == len(rows) - 1 and "it would come again" in found["said"][0]


def test_bounds_that_would_hide_rows(lake):
    """Two files of the same size and rows change places: only what is in them tells."""
    def events(day, salt):
        return [{"event_uuid": f"{salt:04d}-{i}", "event_name": "order", "created_at": 1700000000 + day * 86400} for i in range(5)]
    lake.load("-", stdin=ndjson(events(0, 0)))
    [first] = files(lake)
    for salt in range(1, 60):
        lake.load("-", stdin=ndjson(events(3, salt)))
        match = [f for f in files(lake) if f.parent != first.parent and f.stat().st_size == first.stat().st_size]
        if match:
            break
    a, b = first.read_bytes(), match[0].read_bytes()
    first.write_bytes(b)
    match[0].write_bytes(a)
    assert said(lake).count("outside the bounds") == 2


def test_files_of_an_earlier_partitioning(lake, tmp_path):
    """A file is judged by the one that it was written by, not by today's."""
    from pyiceberg.transforms import DayTransform
    (tmp_path / "config.yaml").write_text("tables: {order: {partition_by: [month(event_time)]}}")
    days = [{"event_uuid": f"u{i}", "event_name": "order", "created_at": 1700000000 + 86400 * i} for i in range(3)]
    lake.load("-", "--config", tmp_path / "config.yaml", stdin=ndjson(days))
    with lake.pyiceberg("order").update_spec() as u:
        u.remove_field("event_time_month")
        u.add_field("event_time", DayTransform(), "day")
    lake.load("-", stdin=ndjson(make(3)))
    assert {t.file.spec_id for t in lake.pyiceberg("order").scan().plan_files()} == {0, 1}
    assert said(lake) == ""
    location = lake.pyiceberg("order").metadata_location.removeprefix("file://")
    with open(location, "r+") as f:
        changed = f.read().replace('"transform":"month"', '"transform":"hour"')
        f.seek(0)
        f.write(changed)
        f.truncate()
    assert "event times of several partitions" in said(lake)
