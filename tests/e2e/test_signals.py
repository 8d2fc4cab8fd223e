"""SIGINT, SIGTERM and SIGHUP: the first commits what has been read and ends with 0, the second leaves at once; neither
loses or doubles anything."""
import json
import os
import signal
import sqlite3
import subprocess
import time

import model
import pytest
from conftest import INLET, run
from test_health import Worker, until
from test_run import consume, make, put


def test_a_load_that_is_stopped_goes_on_later(lake, tmp_path):
    f = tmp_path / "events.ndjson"
    f.write_bytes(run("gen", "--events", "150000", "--malformed", "0", "--conflicts", "0").stdout)
    for how in (signal.SIGINT, signal.SIGTERM):
        p = subprocess.Popen([INLET, "load", "--lake", str(lake.path), "--json", "--no-fsync", "--threads", "1", str(f)],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if how == signal.SIGINT:
            until((lake.path / "catalog.db").exists)  # the signals are caught by then
        else:
            line = p.stderr.readline()  # the second, where the first signal came before a row
            assert b"dedup window" in line or b"events" in line
        p.send_signal(how)
        out, err = p.communicate(timeout=60)
        assert p.returncode == 0, err
        json.loads(out)
    report = json.loads(lake.load(f, "--json", "--no-fsync").stdout)
    assert not report["stopped"]
    uuids = {json.loads(line)["event_uuid"] for line in f.read_bytes().splitlines()}
    seen = [r for t in lake.tables() if not t.startswith("inlet_") for r in lake.duckdb(t, "event_uuid")]
    assert len(seen) == len(uuids) and {r["event_uuid"] for r in seen} == uuids


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGHUP])
def test_the_first_signal_commits(lake, kinesis, tmp_path, how):
    (client, env), stream = kinesis, f"first-{how}"
    if signal.getsignal(how) == signal.SIG_IGN:
        pytest.skip("ignored from here on, as nohup has it")
    client.create_stream(StreamName=stream, ShardCount=1)
    events = make(300)
    put(client, stream, events)
    w = Worker(lake, stream, env, tmp_path, "--http", "127.0.0.1:0", "--commit-interval", "1h")
    until(lambda: "\ninlet_records_total 300\n" in w.get("/metrics")[1])
    assert "order" not in lake.tables()
    assert w.stop(how) == 0
    model.check(lake, events)


def test_the_second_signal_leaves_at_once(lake, kinesis, tmp_path):
    """The catalog is locked by somebody, so that the first signal's commit has to wait."""
    client, env = kinesis
    client.create_stream(StreamName="second", ShardCount=1)
    events = make(300)
    put(client, "second", events)
    w = Worker(lake, "second", env, tmp_path, "--http", "127.0.0.1:0", "--commit-interval", "1h")
    until(lambda: "\ninlet_records_total 300\n" in w.get("/metrics")[1])
    lock = sqlite3.connect(lake.path / "catalog.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    w.p.send_signal(signal.SIGTERM)
    time.sleep(1)
    assert w.p.poll() is None, "it must wait for its commit"
    assert w.stop() == 130
    lock.execute("ROLLBACK")
    lock.close()
    consume(lake, "second", env)
    model.check(lake, events)
    assert os.path.exists(lake.path / "leases.db")
