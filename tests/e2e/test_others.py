"""Others change our tables between our commits, while one inlet runs: it goes on correctly, and what they did stays."""
import os
import signal
import subprocess
import time

import pytest
from conftest import INLET
from test_run import put

pytestmark = pytest.mark.long


class Running:
    """`inlet run` on a stream of its own, over a lake."""

    def __init__(self, lake, kinesis, name, log):
        self.lake, (self.client, self.env), self.name = lake, kinesis, name
        self.client.create_stream(StreamName=name, ShardCount=1)
        self.log, self.sent = log, []
        self.proc = subprocess.Popen([INLET, "run", "--stream", f"kinesis://{name}", "--lake", str(lake.path), "--commit-interval",
                                      "200ms"], stdout=subprocess.DEVNULL, stderr=open(log, "wb"), env={**os.environ, **self.env})

    def send(self, *events):
        made = []
        for fields in events:
            n = len(self.sent)
            made.append({"event_uuid": f"{self.name}-{n}", "event_name": "order:new", "created_at": 1763971200 + 3600 * n, **fields})
            self.sent.append(made[-1]["event_uuid"])
        put(self.client, self.name, made)
        return [e["event_uuid"] for e in made]

    def table(self):
        return self.lake.pyiceberg("order")

    def rows(self):
        return {r["event_uuid"]: r for r in self.lake.rows("order")}

    def wait(self, ids, seconds=40):
        until = time.time() + seconds
        while True:
            assert self.proc.poll() is None, self.log.read_text()[-3000:]
            try:
                rows = self.rows()
            except Exception:  # no table yet
                rows = {}
            if set(ids) <= set(rows):
                return rows
            assert time.time() < until, (set(ids) - set(rows), self.log.read_text()[-3000:])
            time.sleep(0.1)

    def send_and_wait(self, *events):
        ids = self.send(*events)
        rows = self.wait(ids)
        return [rows[i] for i in ids]

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        assert self.proc.wait(timeout=30) == 0, self.log.read_text()[-3000:]


@pytest.fixture
def running(lake, kinesis, tmp_path, request):
    r = Running(lake, kinesis, request.node.name.replace("_", "-")[:60], tmp_path / "log")
    yield r
    if r.proc.poll() is None:
        r.proc.kill()
        r.proc.wait()


def test_columns(running):
    """Added, renamed, commented, made optional's opposite; one dropped: its values are rescued from then on."""
    from pyiceberg.types import DoubleType, StringType
    running.send_and_wait({"a": 1, "b": {"x": "1"}, "gone": "g"})
    with running.table().update_schema() as u:
        u.add_column("theirs", DoubleType())
        u.rename_column("a", "amount")
        u.update_column("event_type", doc="the first part of the name")
        u.add_column(("b", "inner"), StringType())
    row, = running.send_and_wait({"a": 2, "b": {"x": "2", "y": True}, "gone": "g", "new": [1]})
    assert row["amount"] == 2 and row["theirs"] is None and row["b"] == {"x": "2", "inner": None, "y": True} and row["new"] == [1]
    row, = running.send_and_wait({"theirs": 1.5, "b": {"inner": "i"}})  # a key of that name has a place now
    assert row["theirs"] == 1.5 and row["b"]["inner"] == "i"
    with running.table().update_schema(allow_incompatible_changes=True) as u:
        u.delete_column("gone")
    row, = running.send_and_wait({"a": 3, "gone": "kept"})
    assert row["amount"] == 3 and "gone" not in row and '"kept"' in row["_rescued"]
    with running.table().update_schema() as u:
        u.move_first("amount")
    row, = running.send_and_wait({"a": 4})
    assert row["amount"] == 4
    running.stop()
    assert set(running.rows()) == set(running.sent)
    schema = running.table().schema()
    assert schema.find_field("event_type").doc == "the first part of the name" and schema.fields[0].name == "amount"


def test_rows_and_snapshots(running):
    """Appends, deletes, overwrites, tags, rollback and expiry by others: nothing of it is undone, nothing is lost."""
    import pyarrow as pa
    first = running.send_and_wait({"a": 1})[0]
    table = running.table()
    table.append(pa.Table.from_pylist([dict(first, event_uuid="theirs")], schema=table.schema().as_arrow()))
    running.send_and_wait({"a": 2})
    assert set(running.rows()) == {*running.sent, "theirs"}
    table = running.table()
    table.manage_snapshots().create_tag(table.current_snapshot().snapshot_id, "kept").commit()
    table = running.table()
    table.delete("event_uuid = 'theirs'")
    deleted = running.table().current_snapshot().snapshot_id
    running.send_and_wait({"a": 3})
    assert set(running.rows()) == set(running.sent)  # deleted stays deleted
    # Rolled back behind our last commit: its row is gone, as they wanted it, and comes no more.
    table = running.table()
    table.manage_snapshots().rollback_to_snapshot(deleted).commit()
    running.send_and_wait({"a": 4})
    undone = running.sent[2]
    assert set(running.rows()) == set(running.sent) - {undone}
    table = running.table()
    parents = {s.snapshot_id: s.parent_snapshot_id for s in table.metadata.snapshots}
    assert parents[table.current_snapshot().snapshot_id] == deleted
    table.maintenance.expire_snapshots().older_than(__import__("datetime").datetime.now()).commit()
    kept = {s.snapshot_id for s in running.table().metadata.snapshots}
    assert len(kept) < len(parents)
    running.send_and_wait({"a": 5})
    table = running.table()
    with table.transaction() as t:
        t.set_properties({"owner": "them", "write.metadata.previous-versions-max": "5"})
    running.send_and_wait({"a": 6})
    assert running.table().properties["owner"] == "them" and running.table().refs()["kept"].snapshot_ref_type == "tag"
    running.stop()
    assert set(running.rows()) == set(running.sent) - {undone}


def test_partitioning_and_order(running):
    """Another partitioning is taken on; files of the old one stay as they are. One that inlet cannot write is refused."""
    from pyiceberg.transforms import BucketTransform, HourTransform, IdentityTransform
    running.send_and_wait({"a": 1}, {"a": 2})
    with running.table().update_spec() as u:
        u.remove_field("event_time_day")
        u.add_field("event_time", HourTransform(), "event_hour")
        u.add_identity("event_subtype")
    running.send_and_wait({"a": 3})  # may still be split as before, which is as good a file
    running.send_and_wait({"a": 4}, {"a": 5, "event_name": "order:x"})
    table = running.table()
    files = [t.file for t in table.scan().plan_files()]
    assert {f.spec_id for f in files} == {0, table.spec().spec_id}
    for f in files:
        if f.spec_id:
            import pyarrow.parquet as pq
            rows = pq.read_table(f.file_path.removeprefix("file://")).to_pylist()
            assert {(int(r["event_time"].timestamp()) // 3600, r["event_subtype"]) for r in rows} == {(f.partition[0], f.partition[1])}
    with running.table().update_sort_order() as u:
        u.asc("event_uuid", IdentityTransform())
    running.send_and_wait({"a": 6})
    assert running.table().sort_order().fields[0].source_id == 1
    running.stop()
    assert set(running.rows()) == set(running.sent)
    with running.table().update_spec() as u:
        u.add_field("event_uuid", BucketTransform(4), "bucket")
    before = running.table().metadata_location
    r = running.lake.load("-", stdin=b'{"event_uuid":"z","event_name":"order:new","created_at":1763971200}\n', check=False)
    assert running.table().metadata_location == before
    assert b"bucket" in r.stderr, r.stderr


def test_two_units_of_one_time(lake):
    """A spec that others may make: a row's day is not its hour, so that is not written."""
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import DayTransform, HourTransform
    one = b'{"event_uuid":"z","event_name":"%s","created_at":1763971200}\n'
    lake.load("-", stdin=one % b"day")
    spec = PartitionSpec(PartitionField(7, 1000, DayTransform(), "d"), PartitionField(7, 1001, HourTransform(), "h"))
    lake.catalog().create_table(("events", "both"), lake.pyiceberg("day").schema(), partition_spec=spec)
    r = lake.load("-", stdin=one % b"both", check=False)
    assert b"two units of one time" in r.stderr and lake.rows("both") == []


def test_dropped_and_made_anew(running):
    """By others, under the same name: theirs is not touched, and it says what to do."""
    from pyiceberg.schema import Schema
    from pyiceberg.types import LongType, NestedField
    running.send_and_wait({"a": 1})
    catalog = running.lake.catalog()
    catalog.drop_table("events.order")
    catalog.create_table("events.order", Schema(NestedField(1, "x", LongType()), NestedField(2, "y", LongType())))
    before = running.table().metadata_location
    running.send({"a": 2})
    until = time.time() + 30
    while b"not made by inlet" not in running.log.read_bytes():
        assert time.time() < until, running.log.read_text()[-3000:]
        time.sleep(0.1)
    assert running.table().metadata_location == before
