"""Killed at random moments and started again, the lake holds each event once."""
import os
import random
import signal
import subprocess
import time

import model
from conftest import INLET, run


def test_kill_and_load_again(lake, tmp_path):
    import json
    path = tmp_path / "events.ndjson"
    path.write_bytes(run("gen", "--events", "150000", "--seed", "3", "--start", "2026-11-20T00:00:00Z",
                         "--malformed", "0").stdout)
    sent = {}
    for line in path.read_bytes().splitlines():
        e = json.loads(line)
        sent.setdefault(e["event_uuid"], e)
    r = random.Random(1)
    kills = 0
    for _ in range(50):
        p = subprocess.Popen([INLET, "load", str(path), "--lake", str(lake.path), "--memory", "64MB", "--commit-interval", "1s"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
        time.sleep(r.random() * 0.09)
        if p.poll() is None:
            p.send_signal(signal.SIGKILL)
            kills += 1
        p.wait()
    lake.load(path)
    rows = [row["event_uuid"] for t in lake.tables() if not t.startswith("inlet_") for row in lake.duckdb(t, "event_uuid")]
    assert len(rows) == len(set(rows)), "an event is there twice"
    assert set(rows) == set(sent)
    assert kills > 10
