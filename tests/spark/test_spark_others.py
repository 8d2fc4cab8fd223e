"""Spark changes our tables while one inlet holds them: compaction, deletes, merges, partitioning, columns, rollback, expiry."""
import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from conftest import INLET, Lake, ndjson  # noqa: E402
from session import open_lake, spark  # noqa: E402,F401


class Fed:
    """`inlet load -` that stays open: one handle on the table through all of it. (Standard input cannot be read again, so
    what would make inlet read again is done with a new one.)"""

    def __init__(self, lake, log):
        self.lake, self.log, self.sent = lake, log, []
        self.open()

    def open(self):
        self.proc = subprocess.Popen([INLET, "load", "-", "--lake", str(self.lake.path), "--commit-interval", "200ms"],
                                     stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=open(self.log, "ab"))

    def feed(self, *events):
        """Sends the events and waits until the lake has them."""
        made = [{"event_uuid": f"u{len(self.sent) + i}", "event_name": "order:new", "created_at": 1763971200 + 3600 * (len(self.sent) + i),
                 **e} for i, e in enumerate(events)]
        self.sent += [e["event_uuid"] for e in made]
        self.proc.stdin.write(ndjson(made))
        self.proc.stdin.flush()
        want, until = {e["event_uuid"] for e in made}, time.time() + 30
        while True:
            try:
                if want <= set(self.ids()):
                    return
            except Exception:  # no table yet
                pass
            assert self.proc.poll() is None and time.time() < until, self.log.read_text()[-3000:]
            time.sleep(0.1)

    def ids(self):
        return sorted(r["event_uuid"] for r in self.lake.rows("order"))

    def close(self):
        self.proc.stdin.close()
        assert self.proc.wait(timeout=60) == 0, self.log.read_text()[-3000:]


@pytest.fixture
def fed(tmp_path):
    f = Fed(Lake(tmp_path / "lake"), tmp_path / "log")
    yield f
    if f.proc.poll() is None:
        f.proc.send_signal(signal.SIGKILL)
        f.proc.wait()


@pytest.fixture
def sql(spark, fed):
    session = open_lake(spark, fed.lake, jdbc_init__catalog__tables="false")
    return lambda text: session.sql(text).collect()


T = "`default`.events.order"


def count(sql):
    return sql(f"SELECT count(*), count(DISTINCT event_uuid) FROM {T}")[0][:]


def test_compaction_between_commits(fed, sql):
    for i in range(4):
        fed.feed({"n": i}, {"n": i})
    result = sql("CALL `default`.system.rewrite_data_files(table => 'events.order', options => map('rewrite-all', 'true'))")[0]
    assert result["rewritten_data_files_count"] >= 4
    fed.feed({"n": 9})
    assert count(sql) == (9, 9) and fed.ids() == sorted(fed.sent)
    operations = [r[0] for r in sql(f"SELECT operation FROM {T}.snapshots ORDER BY committed_at")]
    assert "replace" in operations and operations[-1] == "append"
    live = [r[0] for r in sql(f"SELECT file_path FROM {T}.files")]
    assert len(live) == len(set(live)) <= 3
    sql("CALL `default`.system.rewrite_manifests('events.order')")
    fed.feed({"n": 10})
    sql("CALL `default`.system.expire_snapshots(table => 'events.order', older_than => TIMESTAMP '2100-01-01 00:00:00', retain_last => 1)")
    sql("CALL `default`.system.remove_orphan_files(table => 'events.order', dry_run => true)")
    fed.feed({"n": 11})
    assert count(sql) == (11, 11) and fed.ids() == sorted(fed.sent)
    fed.close()


def test_rows_deleted_and_merged(fed, sql):
    """Copy-on-write and merge-on-read: delete files are carried along."""
    fed.feed({"n": 1}, {"n": 2}, {"n": 3}, {"n": 4})
    sql(f"ALTER TABLE {T} SET TBLPROPERTIES ('write.delete.mode'='merge-on-read', 'write.update.mode'='merge-on-read')")
    sql(f"DELETE FROM {T} WHERE n = 2")
    sql(f"UPDATE {T} SET n = 30 WHERE n = 3")
    fed.feed({"n": 5})
    assert sorted(r[0] for r in sql(f"SELECT n FROM {T}")) == [1, 4, 5, 30]
    assert sql(f"SELECT count(*) FROM {T}.delete_files")[0][0] > 0
    assert fed.ids() == sorted(set(fed.sent) - {"u1"})
    sql(f"ALTER TABLE {T} SET TBLPROPERTIES ('write.delete.mode'='copy-on-write')")
    sql(f"DELETE FROM {T} WHERE n = 4")
    fed.feed({"n": 6})
    assert sorted(r[0] for r in sql(f"SELECT n FROM {T}")) == [1, 5, 6, 30]
    fed.close()
    properties = {r[0]: r[1] for r in sql(f"SHOW TBLPROPERTIES {T}")}
    assert properties["write.delete.mode"] == "copy-on-write"


def test_columns_order_and_rollback(fed, sql):
    fed.feed({"n": 1, "s": "x"})
    sql(f"ALTER TABLE {T} RENAME COLUMN n TO amount")
    sql(f"ALTER TABLE {T} ADD COLUMN theirs DOUBLE COMMENT 'not ours' AFTER event_uuid")
    sql(f"ALTER TABLE {T} ALTER COLUMN s COMMENT 's'")
    sql(f"ALTER TABLE {T} WRITE ORDERED BY event_uuid")
    fed.feed({"n": 2, "s": "y", "new": True})
    rows = sql(f"SELECT event_uuid, amount, theirs, s, new FROM {T} ORDER BY 1")
    assert [r[:] for r in rows] == [("u0", 1, None, "x", None), ("u1", 2, None, "y", True)]
    first = sql(f"SELECT snapshot_id FROM {T}.snapshots ORDER BY committed_at LIMIT 1")[0][0]
    sql(f"CALL `default`.system.rollback_to_snapshot('events.order', {first})")
    fed.feed({"n": 3, "s": "z"})
    assert fed.ids() == ["u0", "u2"]
    sql(f"ALTER TABLE {T} CREATE TAG kept")
    fed.feed({"n": 4})
    assert sorted(r[0] for r in sql(f"SELECT name FROM {T}.refs")) == ["kept", "main"]
    assert sql(f"SELECT count(*) FROM {T} VERSION AS OF 'kept'")[0][0] == 2
    fed.close()


def test_partitioning(fed, sql):
    """A load of standard input cannot read again: it ends, says so, and the next one goes on by the new partitioning."""
    fed.feed({"n": 1}, {"n": 2})
    fed.close()
    sql(f"ALTER TABLE {T} REPLACE PARTITION FIELD event_time_day WITH hours(event_time)")
    sql(f"ALTER TABLE {T} ADD PARTITION FIELD event_subtype")
    fed.open()
    fed.feed({"n": 3}, {"n": 4, "event_name": "order:old"})
    fed.close()
    files = sql(f"SELECT spec_id, record_count FROM {T}.files")
    assert sorted(r[0] for r in files)[-1] >= 1 and sum(r[1] for r in files) == 4
    assert sql(f"SELECT count(*) FROM {T} WHERE event_subtype = 'old'")[0][0] == 1
    assert sql(f"SELECT count(*) FROM {T} WHERE event_time < TIMESTAMP '2025-11-24 09:30:00'")[0][0] == 2
    result = sql("CALL `default`.system.rewrite_data_files(table => 'events.order', options => map('rewrite-all', 'true'))")[0]
    assert result["rewritten_data_files_count"] >= 3 and count(sql) == (4, 4)
