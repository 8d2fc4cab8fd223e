"""inlet replay: dead letters become rows once they can, each once, however often and however rudely it is run."""
import json
import os
import random
import subprocess
import time
import uuid

import model
from conftest import INLET, ndjson, run
from pyiceberg.transforms import BucketTransform
from test_promises import set_kind


def events(n, types=20):
    return [{"event_uuid": str(uuid.uuid4()), "event_name": f"type{i % types}:x", "created_at": 1700000000 + i, "n": i,
             "deep": {"list": [i, {"s": "ü\u0000"[:1] * 3}]}} for i in range(n)]


def letters(lake):
    return sum(t["rows"] for t in json.loads(run("tables", "--lake", lake.path, "--json").stdout) if t["table"] == "inlet_dead_letters")


def replay(lake, *args):
    return json.loads(run("replay", "--lake", lake.path, "--json", "--quiet", *args).stdout)


def test_once(lake):
    sent = events(400)
    lake.load("-", "--max-tables", "3", stdin=ndjson(sent + ["no json", {"event_uuid": 1}]))
    assert letters(lake) > 300
    before = letters(lake)
    r = replay(lake)
    assert r["records"] == before - 2 and r["dead_letters"] == 0
    model.check(lake, sent)
    row = lake.rows("type9")[0]
    assert row["_shard"] == "letters/too_many_tables" and row["_arrived_at"].year >= 2024
    again = replay(lake)
    assert again["rows_committed"] == 0 and again["skipped"] == before - 2
    model.check(lake, sent)
    # what is no event stays none, whatever is asked for
    r = replay(lake, "--reason", "all")
    assert r["dead_letters_by_reason"] == {"invalid_json": 1, "invalid_event_uuid": 1}
    model.check(lake, sent)
    # new letters of the same reason are taken by the next
    more = [{**e, "event_name": f"other{i % 3}"} for i, e in enumerate(events(30))]
    lake.load("-", "--max-tables", "20", stdin=ndjson(more))
    r = replay(lake)
    assert r["rows_committed"] == 30
    model.check(lake, sent + more)


def test_only_some_are_let_in(lake):
    """Tables that cannot be had yet: their letters wait for a later replay, the others are not taken again. None is
    written a second time, as each once was by every replay."""
    sent = events(200)
    lake.load("-", "--max-tables", "1", stdin=ndjson(sent + ["no json"]))
    for most, made, left in (("1", 0, 190), ("10", 90, 100), ("10", 0, 100), ("15", 50, 50)):
        r = replay(lake, "--max-tables", most, "--reason", "all")
        assert r["rows_committed"] == made and r["dead_letters_by_reason"] == {"invalid_json": 1, "too_many_tables": left}
        assert letters(lake) == 191
    replay(lake)
    model.check(lake, sent)
    assert letters(lake) == 191


def test_a_table_that_cannot_be_written_yet(lake, tmp_path):
    """Its letters stay what they are, and become rows once it can."""
    sent, path = events(40, 2), tmp_path / "sent"
    lake.load("-", stdin=ndjson(sent[:2]))
    set_kind(lake, "type1", "VIEW")
    path.write_bytes(ndjson(sent[2:]))
    lake.load(path)
    for _ in range(2):
        r = replay(lake, "--quarantine-after", "1s")
        assert r["dead_letters_by_reason"] == {"table_unavailable": 19} and r["rows_committed"] == 0 and letters(lake) == 19
    set_kind(lake, "type1", "TABLE")
    for made in (19, 0):
        assert replay(lake)["rows_committed"] == made
    model.check(lake, sent)
    assert letters(lake) == 19


def timed(n, created_at):
    return [{**e, "event_name": "type0:x", "created_at": created_at} for e in events(n)]


def test_bad_letters_that_another_setting_makes_events(lake):
    """Those that are still none are not passed by what the others' rows say of how far their table has come: neither of rows
    of another reason, nor of the same. They are told, and no letter is written of them unless some of their reason were passed."""
    late, milli, nano = events(30, 3), timed(20, 1700000000123), timed(10, 1700000000123456789)
    lake.load("-", "--max-tables", "2", "--created-at-unit", "s", stdin=ndjson(events(2, 2) + milli[:10] + nano + late + milli[10:]))
    known = lake.rows("type0") + lake.rows("type1")
    assert letters(lake) == 40 and len(known) == 22
    # rows of another reason, of the same table and others
    for made in (10, 0):
        r = replay(lake, "--reason", "all", "--created-at-unit", "s")
        assert (r["rows_committed"], r["dead_letters"], r["still_dead"]) == (made, 0, 30) and letters(lake) == 40
        assert r["dead_letters_by_reason"] == {"created_at_out_of_range": 30}
        assert r["records"] == r["rows"] + r["duplicates"] + r["dead_letters"] + r["still_dead"] + r["skipped"] + r["reread"]
    # some of the same reason: those that are left are passed, and so written anew, once
    r = replay(lake, "--reason", "created_at_out_of_range", "--created-at-unit", "ms")
    assert (r["rows_committed"], r["dead_letters"], r["still_dead"]) == (30, 10, 0) and letters(lake) == 50
    for _ in range(2):
        r = replay(lake, "--reason", "all", "--created-at-unit", "ms")
        assert (r["rows_committed"], r["dead_letters"], r["still_dead"]) == (0, 0, 10) and letters(lake) == 50
    for made in (10, 0):
        r = replay(lake, "--reason", "all", "--created-at-unit", "ns")
        assert (r["rows_committed"], r["dead_letters"], r["still_dead"]) == (made, 0, 0) and letters(lake) == 50
    rows = [row["event_uuid"] for table in ("type0", "type1", "type2") for row in lake.rows(table)]
    assert len(rows) == len(set(rows)) == 62


def test_letters_of_a_table_that_cannot_be_written_while_others_are_written_anew(lake, tmp_path):
    """What these say of how far the letters have come is not said of those that stay."""
    sent, path = events(40, 2), tmp_path / "sent"
    lake.load("-", stdin=ndjson(sent[:2]))
    with lake.pyiceberg("type1").update_spec() as spec:
        spec.add_field("n", BucketTransform(4), "n_bucket")
    path.write_bytes(ndjson(sent[2:] + timed(20, 1700000000123) + timed(10, 1700000000123456789)))
    lake.load(path, "--created-at-unit", "s")
    assert letters(lake) == 19 + 30
    r = replay(lake, "--reason", "all", "--created-at-unit", "ms")
    assert (r["rows_committed"], r["dead_letters"], r["still_dead"]) == (30, 10, 19) and letters(lake) == 59
    with lake.pyiceberg("type1").update_spec() as spec:
        spec.remove_field("n_bucket")
    for made in (19, 0):
        assert replay(lake)["rows_committed"] == made
    assert sorted(row["n"] for row in lake.rows("type1")) == list(range(1, 40, 2)) and letters(lake) == 59


def test_killed(lake):
    sent = events(3000, 8)
    lake.load("-", "--max-tables", "1", "--no-fsync", stdin=ndjson(sent))
    random.seed(5)
    for _ in range(6):
        p = subprocess.Popen([INLET, "replay", "--lake", str(lake.path), "--quiet"], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, env=os.environ)
        time.sleep(random.uniform(0.02, 0.25))
        p.kill()
        p.wait()
    two = [subprocess.Popen([INLET, "replay", "--lake", str(lake.path), "--quiet"], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL) for _ in range(2)]
    assert all(p.wait(timeout=60) == 0 for p in two), "at once: one is fenced, reads again and finds nothing to do"
    model.check(lake, sent)


def test_letters_that_somebody_compacted(lake):
    """Their numbers are others then: nothing may be taken twice, or left out. Before the first replay it does not matter."""
    def compact():
        table = lake.pyiceberg("inlet_dead_letters")
        table.overwrite(table.scan().to_arrow())
    sent = events(60)
    lake.load("-", "--max-tables", "3", stdin=ndjson(sent[:40]))
    lake.load("-", "--max-tables", "3", stdin=ndjson(sent[40:]))
    compact()
    assert replay(lake)["rows_committed"] > 40
    model.check(lake, sent)
    assert replay(lake)["rows_committed"] == 0
    compact()
    r = run("replay", "--lake", lake.path, "--dedup-window", "0", check=False)
    assert r.returncode == 1 and b"rewritten" in r.stderr and b"inlet.position.letters:" in r.stderr, r.stderr
    model.check(lake, sent)


def test_letters_that_somebody_deleted(lake):
    """All of them: whole files go, and those that come later are replayed."""
    sent = events(60)
    lake.load("-", "--max-tables", "3", stdin=ndjson(sent[:40]))
    replay(lake)
    lake.pyiceberg("inlet_dead_letters").delete()
    more = [{**e, "event_name": f"other{i % 3}"} for i, e in enumerate(sent[40:])]
    lake.load("-", "--max-tables", "20", stdin=ndjson(more))
    assert replay(lake, "--dedup-window", "0")["rows_committed"] == len(more)
    model.check(lake, sent[:40] + more)


def test_nothing_to_replay(lake, tmp_path):
    r = run("replay", "--lake", lake.path, check=False)
    assert r.returncode == 1 and b"no lake" in r.stderr
    r = run("replay", "--lake", lake.path, "--reason", "invalid_jsn", check=False)
    assert r.returncode == 2 and b"did you mean invalid_json?" in r.stderr
    lake.load("-", stdin=ndjson(events(3)))
    r = run("replay", "--lake", lake.path, check=False)
    assert r.returncode == 1 and b"inlet_dead_letters" in r.stderr
