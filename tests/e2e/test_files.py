"""A file is a stream: loaded again, grown, killed, or with its leases and positions gone, it adds nothing twice. The
dedup window is off in all of this, so that only positions and inlet_loads keep events from coming twice."""
import json
import os
import random
import signal
import subprocess
import time
import uuid

from conftest import INLET, ndjson


def make(n):
    return [{"event_uuid": str(uuid.uuid4()), "event_name": ("order:a", "pay:b")[i % 2], "created_at": 1700000000 + i, "n": i}
            for i in range(n)]


def load(lake, path, *args, **kw):
    return json.loads(lake.load(path, "--dedup-window", "0s", "--json", *args, **kw).stdout)


def ids(lake):
    return sorted(r["event_uuid"] for t in ("order", "pay") if t in lake.tables() for r in lake.duckdb(t, "event_uuid"))


def check(lake, events):
    assert ids(lake) == sorted(e["event_uuid"] for e in events)


def forget(lake, positions=False):
    """Leases gone; positions too, as after a week."""
    (lake.path / "leases.db").unlink()
    for table in lake.tables() if positions else []:
        t = lake.pyiceberg(table)
        with t.transaction() as change:
            change.remove_properties(*[k for k in t.properties if k.startswith("inlet.position.")])


def test_loaded_again(lake, tmp_path):
    path = tmp_path / "a.ndjson"
    events = make(5000)
    path.write_bytes(ndjson(events))
    first = load(lake, path)
    assert first["rows_committed"] == 5000
    row, = lake.rows("inlet_loads")
    assert row["path"] == str(path) and row["position"] == row["size"] == path.stat().st_size
    assert (row["records"], row["events"], row["duplicates"], row["dead_letters"]) == (5000, 5000, 0, 0)
    assert row["started_position"] == 0 and row["finished_at"] >= row["started_at"]
    assert load(lake, path)["already_loaded"] == 1
    forget(lake)
    load(lake, path)
    check(lake, events)
    forget(lake, positions=True)
    again = load(lake, path)
    assert again["records"] == 0 and again["already_loaded"] == 1
    check(lake, events)
    assert len(lake.rows("inlet_loads")) == 1


def test_grown_small_file(lake, tmp_path):
    """Below 64 KiB its identity is what it held when it was first seen."""
    path = tmp_path / "a.ndjson"
    events = make(20)
    path.write_bytes(ndjson(events))
    load(lake, path)
    for n in (10, 30, 2000):
        more = make(n)
        events += more
        with open(path, "ab") as f:
            f.write(ndjson(more))
        forget(lake, positions=n == 30)
        assert load(lake, path)["rows_committed"] == n
        check(lake, events)
    assert [r["started_position"] for r in sorted(lake.rows("inlet_loads"), key=lambda r: r["position"])][0] == 0
    assert len({r["identity"] for r in lake.rows("inlet_loads")}) == 1


def test_other_file_of_the_same_name(lake, tmp_path):
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"")
    load(lake, path)
    first, second = make(30), make(50)
    path.write_bytes(ndjson(first))
    load(lake, path)
    path.write_bytes(ndjson(second))
    load(lake, path)
    check(lake, first + second)


def test_many_files_some_with_dead_letters(lake, tmp_path):
    events, paths = [], []
    for i in range(12):
        part = make(40)
        events += part
        paths.append(tmp_path / f"{i}.ndjson")
        paths[-1].write_bytes(ndjson(part + ["{"] * i))
    args = [*map(str, paths[1:]), "--commit-interval", "100ms"]
    load(lake, paths[0], *args)
    load(lake, paths[0], *args)
    check(lake, events)
    loads = {r["path"]: r for r in lake.rows("inlet_loads")}
    assert len(loads) == len(lake.rows("inlet_loads")) == 12
    assert [loads[str(p)]["dead_letters"] for p in paths] == list(range(12))
    assert {loads[str(p)]["events"] for p in paths} == {40}
    assert len(lake.rows("inlet_dead_letters")) == sum(range(12))


def test_killed_with_no_dedup(lake, tmp_path):
    path = tmp_path / "a.ndjson"
    events = make(150000)
    path.write_bytes(ndjson(events))
    r, kills = random.Random(5), 0
    args = [INLET, "load", str(path), "--lake", str(lake.path), "--dedup-window", "0s", "--commit-interval", "100ms",
            "--memory", "48MB", "--commit-bytes", "64KB"]
    for _ in range(25):
        p = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(r.random() * 0.12)
        kills += p.poll() is None
        p.send_signal(signal.SIGKILL)
        p.wait()
    load(lake, path)
    check(lake, events)
    assert kills > 5


def test_positions_go_a_week_after_the_end(lake, tmp_path):
    """Marked when the file ends; a commit a week later takes them out. Marks are set back here, not the clock."""
    a, b, c = (tmp_path / n for n in ("a", "b", "c"))
    events = [make(10) for _ in range(3)]
    for path, part in zip((a, b, c), events):
        path.write_bytes(ndjson(part))
    load(lake, a)
    load(lake, b)
    t = lake.pyiceberg("order")
    marks = {k: json.loads(v)["0"] for k, v in t.properties.items() if k.startswith("inlet.position.")}
    assert len(marks) == 2 and all(v.split("@")[1].isdigit() for v in marks.values())
    key, = (k for k in marks if str(a) in k)
    old = str(int(time.time() * 1000) - 8 * 24 * 3600 * 1000)
    with t.transaction() as change:
        change.set_properties({key: json.dumps({"0": marks[key].split("@")[0] + "@" + old})})
    load(lake, c)
    kept = [k for k in lake.pyiceberg("order").properties if k.startswith("inlet.position.")]
    assert len(kept) == 2 and key not in kept
    load(lake, a, b, c)
    check(lake, sum(events, []))
