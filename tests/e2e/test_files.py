"""A file is a stream: loaded again, grown, killed, or with its leases and positions gone, it adds nothing twice. The
dedup window is off in all of this, so that only positions and inlet_loads keep events from coming twice."""
import base64
import contextlib
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import time
import uuid

import pytest
from conftest import INLET, killed_at_random, ndjson, run


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


def test_named_more_than_once(lake, tmp_path):
    """It is one file: not its own rival, and its letters come once."""
    path, other = tmp_path / "a.ndjson", tmp_path / "b.ndjson"
    path.write_bytes(ndjson(make(10) + [{}]))
    other.symlink_to(path)
    r = lake.load(path, other, path, f"{tmp_path}/./a.ndjson")
    assert b"warn" not in r.stderr and b"read                          11" in r.stderr, r.stderr
    assert len(lake.rows("inlet_dead_letters")) == len(lake.rows("inlet_loads")) == 1


def test_a_file_that_may_not_grow(lake, tmp_path):
    """A limit of the shell is an error like a full disk, and what was written goes on from there."""
    path, events = tmp_path / "a.ndjson", make(20000)
    path.write_bytes(ndjson(events))
    r = subprocess.run([INLET, "load", path, "--lake", lake.path], capture_output=True,
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000)))
    assert r.returncode == 1 and b"File too large" in r.stderr, r
    load(lake, path)
    check(lake, events)


def test_loaded_into_another_namespace(lake, tmp_path):
    """What is in one is not in the other. (And a directory may be written as Hadoop writes it.)"""
    path = tmp_path / "a.ndjson"
    path.write_bytes(ndjson(make(10)))
    for namespace in ("events", "events", "b.c"):
        run("load", path, "--lake", f"file:{lake.path}", "--namespace", namespace)
    for namespace in ("events", "b.c"):
        tables = json.loads(run("tables", "--lake", lake.path, "--namespace", namespace, "--json").stdout)
        assert {t["table"]: t["rows"] for t in tables} == {"order": 5, "pay": 5, "inlet_loads": 1}


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
    kills = killed_at_random("load", path, "--lake", lake.path, "--dedup-window", "0s", "--commit-interval", "100ms", "--memory", "48MB",
                             "--commit-bytes", "64KB", times=25, pause=lambda r: r * 0.06)
    load(lake, path)
    check(lake, events)
    assert kills > 5


def a_b_c(tmp_path, parts):
    """Files of these, one each."""
    paths = [tmp_path / n for n in "abc"]
    for path, part in zip(paths, parts):
        path.write_bytes(ndjson(part))
    return paths


def set_marks_back(lake, path):
    """As if that file had ended eight days ago."""
    table = lake.pyiceberg("order")
    [key] = [k for k in table.properties if k.startswith("inlet.position.") and str(path) in k]
    at, mark = json.loads(table.properties[key])["0"].split("@")
    with table.transaction() as change:
        change.set_properties({key: json.dumps({"0": f"{at}@{int(mark) - 8 * 24 * 3600 * 1000}"})})
    return key


def test_positions_go_a_week_after_the_end(lake, tmp_path):
    """Marked when the file ends; a commit a week later takes them out. Marks are set back here, not the clock."""
    events = [make(10) for _ in range(3)]
    a, b, c = a_b_c(tmp_path, events)
    load(lake, a)
    load(lake, b)
    t = lake.pyiceberg("order")
    marks = {k: json.loads(v)["0"] for k, v in t.properties.items() if k.startswith("inlet.position.")}
    assert len(marks) == 2 and all(v.split("@")[1].isdigit() for v in marks.values())
    key = set_marks_back(lake, a)
    load(lake, c)
    kept = [k for k in lake.pyiceberg("order").properties if k.startswith("inlet.position.")]
    assert len(kept) == 2 and key not in kept
    load(lake, a, b, c)
    check(lake, sum(events, []))


def forget_that_it_ended(lake):
    """As a kill leaves it that comes after the last commit: neither leases nor inlet_loads tell of it."""
    forget(lake)
    lake.catalog().drop_table(("events", "inlet_loads"))


def test_a_load_killed_at_its_end_is_known_a_week_later(lake, tmp_path):
    """By the positions alone, so these stay until inlet_loads tells as much."""
    events = [make(10) for _ in range(4)]
    a, b, c = a_b_c(tmp_path, events)
    load(lake, a)
    forget_that_it_ended(lake)
    key = set_marks_back(lake, a)
    load(lake, b)
    assert key in lake.pyiceberg("order").properties
    load(lake, a)
    set_marks_back(lake, a)
    with a.open("ab") as f:  # and grew since: inlet_loads tells less than the positions
        f.write(ndjson(events[3]))
    before = lake.pyiceberg("inlet_loads").metadata_location
    load(lake, a)
    lake.catalog().drop_table(("events", "inlet_loads"))
    lake.catalog().register_table(("events", "inlet_loads"), before)
    forget(lake)
    set_marks_back(lake, a)
    load(lake, c)
    load(lake, a, b, c)
    check(lake, sum(events, []))
    set_marks_back(lake, a)
    load(lake, "-", stdin=ndjson(make(1)))
    assert key not in lake.pyiceberg("order").properties, "told by now"


def test_a_position_is_not_swept_while_its_file_is_read(lake, tmp_path):
    """Followed again, and idle, while the table has commits for another: its rows came a second time."""
    a, b = tmp_path / "a", tmp_path / "b"
    events = [make(10) for _ in range(4)]
    a.write_bytes(ndjson(events[0]))
    b.write_bytes(ndjson(events[1]))
    load(lake, a)
    forget_that_it_ended(lake)
    set_marks_back(lake, a)
    p = subprocess.Popen([INLET, "load", "--follow", "--commit-interval", "100ms", "--dedup-window", "0s", a, b, "--lake", lake.path],
                         stderr=subprocess.PIPE)
    try:
        for n, more in enumerate(events[1:]):
            if n:
                with b.open("ab") as f:
                    f.write(ndjson(more))
            wait_for(lambda: len(ids(lake)) >= 20 + 10 * n)
        p.terminate()
        _, said = p.communicate(timeout=60)
        assert p.returncode == 0 and b"given up" not in said, said
    finally:
        p.kill()
    check(lake, sum(events, []))


def wait_for(what, seconds=60):
    until = time.time() + seconds
    while not what():
        assert time.time() < until, "waited too long"
        time.sleep(0.1)


def test_follow(lake, tmp_path):
    """Several files that grow; a line without its newline is left until that comes, over a kill too."""
    paths = [tmp_path / f"{i}.ndjson" for i in range(3)]
    events = make(30)
    for i, path in enumerate(paths):
        path.write_bytes(ndjson(events[i * 10:i * 10 + 10]))
    args = [INLET, "load", "--follow", *map(str, paths), "--lake", str(lake.path), "--dedup-window", "0s",
            "--commit-interval", "200ms"]
    p = subprocess.Popen(args, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: lake.path.exists() and (lake.path / "catalog.db").exists() and len(ids(lake)) == 30)
        late = make(2)
        text = ndjson(late)
        with open(paths[1], "ab") as f:
            f.write(text[:40])
            f.flush()
            more = make(10)
            events += more
            with open(paths[2], "ab") as g:
                g.write(ndjson(more))
            wait_for(lambda: len(ids(lake)) == 40)
            p.send_signal(signal.SIGKILL)
            p.wait()
            p = subprocess.Popen(args, stderr=subprocess.DEVNULL)
            f.write(text[40:])
        wait_for(lambda: len(ids(lake)) == 42)
        p.send_signal(signal.SIGTERM)
        assert p.wait(timeout=30) == 0
    finally:
        p.kill()
        p.wait()
    check(lake, events + late)
    assert "inlet_dead_letters" not in lake.tables() or not lake.rows("inlet_dead_letters")
    with open(paths[0], "ab") as f:
        f.write(b'{"event_uuid": "x')
    load(lake, *paths)  # not followed: the unfinished line is all that will come
    assert [bytes(r["payload"]) for r in lake.rows("inlet_dead_letters")] == [b'{"event_uuid": "x']
    check(lake, events + late)


def test_follow_wants_plain_files(lake, tmp_path):
    import gzip
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(ndjson(make(3))))
    r = lake.load("--follow", path, check=False)
    assert r.returncode == 1 and b"only plain files can be followed" in r.stderr
    r = lake.load("--follow", "-", stdin=b"", check=False)
    assert r.returncode == 1 and b"only a regular file can be followed" in r.stderr


def test_a_file_is_not_loaded_twice_at_once(lake, tmp_path):
    path = tmp_path / "a.ndjson"
    events = make(10)
    path.write_bytes(ndjson(events))
    p = subprocess.Popen([INLET, "load", "--follow", str(path), "--lake", str(lake.path), "--dedup-window", "0s",
                          "--commit-interval", "200ms"], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: lake.path.exists() and (lake.path / "catalog.db").exists() and len(ids(lake)) == 10)
        r = lake.load(path, "--dedup-window", "0s", check=False)
        assert r.returncode == 1 and b"is being read by" in r.stderr
    finally:
        p.terminate()
        p.wait()
    check(lake, events)


def follow(lake, path, *args):
    return subprocess.Popen([INLET, "load", "--follow", str(path), "--lake", str(lake.path), "--dedup-window", "0s", *args],
                            stderr=subprocess.DEVNULL)


def add(path, n):
    events = make(n)
    with open(path, "ab") as f:
        f.write(ndjson(events))
    return events


def test_followed_from_before_its_first_line(lake, tmp_path):
    path = tmp_path / "a.ndjson"
    events = add(path, 0)
    path.write_bytes(b"")
    for n in (20, 2000):
        p = follow(lake, path, "--commit-interval", "200ms")
        wait_for(lambda: (lake.path / "leases.db").exists())
        events += add(path, n)
        wait_for(lambda: len(ids(lake)) == len(events))
        p.terminate()
        assert p.wait() == 0
    assert load(lake, path)["already_loaded"] == 1
    events += add(path, 5)
    assert load(lake, path)["rows_committed"] == 5
    check(lake, events)
    other = make(10)  # in its place; it begins with no bytes, too
    path.write_bytes(ndjson(other))
    load(lake, path)
    check(lake, events + other)


@pytest.mark.parametrize("first", [0, 10])
def test_a_file_that_grows_is_not_loaded_twice_at_once(lake, tmp_path, first):
    """Before anything of it is committed, only the lease tells: of the identity that the file had then."""
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"")
    events = add(path, first)
    p = follow(lake, path, "--commit-interval", "1h")
    try:
        wait_for(lambda: owners(lake) != [])
        events += add(path, 10)
        r = lake.load(path, "--dedup-window", "0s", check=False)
        assert r.returncode == 1 and b"is being read by" in r.stderr
    finally:
        p.terminate()
        p.wait()
    load(lake, path)
    check(lake, events)


@pytest.mark.long
def test_files_whose_loads_are_gone_are_waited_for_together(lake, tmp_path):
    """Of another host, so that their names tell nothing: ten seconds for all of them, in which what is held is kept."""
    paths = [tmp_path / f"{i}.ndjson" for i in range(7)]
    events = [e for path in paths for e in add(path, 10)]
    lake.load(*paths, "--dedup-window", "0s")
    events += [e for path in paths for e in add(path, 10)]

    def leases(statement):
        with contextlib.closing(sqlite3.connect(lake.path / "leases.db", timeout=30)) as db, db:
            return db.execute(statement).fetchall()
    leases("UPDATE inlet_leases SET owner = 'elsewhere:1:1' WHERE stream NOT LIKE '%/0.ndjson%'")
    began, counters = time.time(), set()
    p = subprocess.Popen([INLET, "load", *paths, "--lake", str(lake.path), "--dedup-window", "0s", "--quiet"])
    while p.poll() is None:
        if any(o == "elsewhere:1:1" for o, in leases("SELECT owner FROM inlet_leases")):
            counters |= set(leases("SELECT counter FROM inlet_leases WHERE stream LIKE '%/0.ndjson%'"))
        time.sleep(0.1)
    assert p.wait() == 0 and time.time() - began < 40 and len(counters) > 3, counters
    check(lake, events)


def owners(lake):
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(lake.path / "leases.db", timeout=30)) as db:
        return [owner for owner, in db.execute("SELECT owner FROM inlet_leases WHERE owner IS NOT NULL")]
    return []  # there are none yet


def test_loads_that_begin_together_while_a_file_grows(lake, tmp_path):
    """One of them loads it, or it is loaded again: none of its events comes twice. Some are killed: what they held is
    taken over."""
    r, sent, refused, known = random.Random(1), [], 0, (b"is being read by", b"is being loaded by", b"at the same time", b"in other hands")
    for n in range(20):
        path, loads = tmp_path / f"{n}.ndjson", []
        sent += add(path, 10)
        for _ in range(r.choice((3, 4, 6))):
            loads.append(subprocess.Popen([INLET, "load", path, "--lake", lake.path, "--dedup-window", "0s"],
                                          stderr=subprocess.PIPE))
            time.sleep(r.random() * r.choice((0.003, 0.01, 0.03)))
            sent += add(path, 3)
        for p in loads:
            if n % 4 == 3 and r.random() < 0.4:
                p.kill()
            said = p.communicate()[1]
            assert p.returncode in (0, -signal.SIGKILL) or any(k in said for k in known), said
            refused += p.returncode > 0
        last = lake.load(path, "--dedup-window", "0s", check=False)
        if last.returncode:  # two were killed, who knew it by different lengths
            assert n % 4 == 3 and b"load it again" in last.stderr, last.stderr
            load(lake, path)
    check(lake, sent)
    assert refused


def test_many_files_are_told_apart_in_linear_time(lake, tmp_path):
    """Which identity each goes by is found by its path, not by a look at each of the others."""
    paths = []
    for i in range(2000):
        paths.append(tmp_path / f"{i}.ndjson")
        paths[i].write_bytes(ndjson([{"event_uuid": f"u{i}", "event_name": "order:a", "created_at": 1700000000 + i}]))

    def seconds(n):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert load(lake, paths[0], *paths[1:n])["already_loaded"] == n
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    load(lake, paths[0], *paths[1:])
    few = min(seconds(250) for _ in range(3))
    assert min(seconds(2000) for _ in range(3)) < 20 * few  # 8 times as many; by pairs it was 40 and more


def test_a_full_disk(lake, tmp_path):
    """Files are written while they are encoded: where that fails, the load does, leaves nothing lying about, and a second one
    is as good as ever. (No file may grow beyond 2 MB: to a program that is like a full disk.)"""
    path = tmp_path / "big.ndjson"
    events = make(30000)
    for e in events:
        e["pad"] = base64.b85encode(os.urandom(400)).decode()
    path.write_bytes(ndjson(events))

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))

    r = subprocess.run([INLET, "load", path, "--lake", lake.path, "--memory", "64MB", "--commit-interval", "1h"],
                       stderr=subprocess.PIPE, preexec_fn=small_files, timeout=60)
    assert r.returncode == 1 and b"cannot write" in r.stderr and b"File too large" in r.stderr, r.stderr
    left = [p for p in lake.path.rglob("*") if p.suffix in (".parquet", ".tmp")]
    assert left == []
    load(lake, path)
    check(lake, events)


def zstd_frame(data, window_log):
    """One raw block in a frame that asks for such a window (RFC 8878)."""
    return b"\x28\xb5\x2f\xfd\x00" + bytes([window_log - 10 << 3]) + (len(data) << 3 | 1).to_bytes(3, "little") + data


def test_zstd_windows_have_room_in_the_memory(lake, tmp_path):
    """110 KB that decompress to a gigabyte of window: no file decides what the process holds."""
    for log, memory, taken in ((23, "64MB", True), (27, "256MB", True), (27, "200MB", False), (30, "256MB", False), (30, "2GB", True)):
        path = tmp_path / f"{log}-{memory}.zst"
        line = json.dumps({"event_uuid": f"{log}", "event_name": "payment:x", "created_at": 1, "n": log}).encode()
        path.write_bytes(zstd_frame(line + b"\n", log))
        r = lake.load(path, "--memory", memory, check=False)
        assert (r.returncode == 0) == taken, (log, memory, r.stderr)
        assert taken or b"window" in r.stderr and b"--memory" in r.stderr
    assert sorted(r["n"] for r in lake.rows("payment")) == [23, 27, 30]
