"""Killed at random moments and started again, the lake holds each event once."""
import random
import signal
import subprocess
import threading
import time

import pytest
from conftest import INLET, killed_at_random, run, sent_once
from test_run import make, put


@pytest.mark.long
def test_kill_and_load_again(lake, tmp_path):
    import json
    path = tmp_path / "events.ndjson"
    path.write_bytes(run("gen", "--events", "150000", "--seed", "3", "--start", "2026-11-20T00:00:00Z",
                         "--malformed", "0").stdout)
    sent = {}
    for line in path.read_bytes().splitlines():
        e = json.loads(line)
        sent.setdefault(e["event_uuid"], e)
    kills = killed_at_random("load", path, "--lake", lake.path, "--memory", "64MB", "--commit-interval", "1s", times=50,
                             pause=lambda r: r * 0.09)
    lake.load(path)
    sent_once(lake, sent)
    assert kills > 10


@pytest.mark.long
def test_kill_after_a_stored_checkpoint(lake, tmp_path):
    """A checkpoint was once stored with the note of a later place, and the file refused on resume."""
    import json
    import sqlite3
    path = tmp_path / "events.ndjson"
    path.write_bytes(run("gen", "--events", "500000", "--seed", "4", "--start", "2026-11-20T00:00:00Z", "--malformed", "0").stdout)
    size = path.stat().st_size
    sent = {json.loads(line)["event_uuid"] for line in path.read_bytes().splitlines()}
    p = subprocess.Popen([INLET, "load", str(path), "--lake", str(lake.path), "--memory", "64MB", "--threads", "1",
                          "--commit-interval", "200ms"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    at = 0
    for _ in range(30):
        time.sleep(0.1)
        p.send_signal(signal.SIGSTOP)  # checkpoints come five seconds apart: let the time pass, not the work
        time.sleep(5.1)
        p.send_signal(signal.SIGCONT)
        for _ in range(5):
            time.sleep(0.02)
            try:
                row = sqlite3.connect(f"file:{lake.path}/leases.db?mode=ro", uri=True).execute(
                    "SELECT checkpoint FROM inlet_leases").fetchone()
                at = int(row[0]) if row and row[0] and row[0].isdigit() else 0
            except sqlite3.Error:
                at = 0
            if at or p.poll() is not None:
                break
        if at or p.poll() is not None:
            break
    p.kill()
    p.wait()
    assert 0 < at < size, "no checkpoint was stored in the middle of the file: the test would prove nothing"
    lake.load(path)
    rows = [row["event_uuid"] for t in lake.tables() if not t.startswith("inlet_") for row in lake.duckdb(t, "event_uuid")]
    assert len(rows) == len(set(rows)) and set(rows) == sent


@pytest.mark.long
def test_kill_and_run_again(lake, aws, faults):
    """A stream that is written to all the while, its consumer killed fifty times: soon after its first reads."""
    client, env = aws[0]("kinesis"), {**aws[1], "AWS_ENDPOINT_URL": faults.url}
    client.create_stream(StreamName="killed", ShardCount=8)
    sent, over, r = [], threading.Event(), random.Random(2)

    def write():
        while not over.is_set():
            events = make(100, more="x" * 5000)
            put(client, "killed", events)
            sent.extend(e["event_uuid"] for e in events)
            over.wait(0.1)
    writer = threading.Thread(target=write)
    writer.start()
    command = [INLET, "run", "--stream", "kinesis://killed", "--lake", str(lake.path), "--commit-interval", "100ms", "--commit-bytes", "64KB",
               "--dedup-window", "0s"]  # positions alone must do
    try:
        kills = [faults.kill_after(18 + r.randrange(16), command, env, r.random() * 0.2) for _ in range(50)]
    finally:
        over.set()
        writer.join()
    commits = len(lake.pyiceberg("order").snapshots())
    run(*command[1:], "--until-caught-up", env=env)
    sent_once(lake, sent)
    assert all(kills) and commits > 10, f"{commits} commits between the kills: the test would prove little"
