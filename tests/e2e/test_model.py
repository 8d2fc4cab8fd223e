"""A load with one cut is what the naive model says, to each of three readers, column by column."""
import gzip
import json
import os
import random
import subprocess
import time

import expected
import model as rebuild
import pytest
import readers
from conftest import INLET
from nasty import Nasty


def check_table(got, model, table, reader, since):
    types, rows = got
    want_types, want_rows = model.schema(table), model.rows(table)
    assert types == want_types, f"{reader}: {table}"
    assert rows.keys() == want_rows.keys(), f"{reader}: {table}"
    for uuid, (cells, rescued) in want_rows.items():
        row = dict(rows[uuid])
        assert since <= row.pop("_arrived_at") <= time.time() * 1e6
        text = row.pop("_rescued")
        got = expected.DECODER.decode(text or "{}")
        assert got == rescued and (text is None) == (not got), f"{reader}: {table}: {uuid}\ngot  {text}\nwant {rescued}"
        for name, want in cells.items():
            cell = row.pop(name)
            if reader == "pyiceberg":
                cell, want = readers.empty_lists(cell, types[name]), readers.empty_lists(want, types[name])
            assert readers.same_cell(cell, want), f"{reader}: {table}.{name}: {uuid}\ngot  {cell!r}\nwant {want!r}"
        assert not row


def check_all(lake, data, since, which=("pyiceberg", "duckdb", "pyarrow")):
    model = expected.Lake().load(data)
    names = set(model.tables) | ({"inlet_dead_letters"} if model.dead else set())
    assert set(lake.tables()) == names
    for table in model.tables:
        for reader in which:
            check_table(readers.ALL[reader](lake, table), model, table, reader, since)
    if model.dead:
        for arrow in (lake.duckdb_arrow("inlet_dead_letters"), lake.pyiceberg("inlet_dead_letters").scan().to_arrow()):
            dead = sorted((r["reason"], bytes(r["payload"])) for r in arrow.to_pylist())
            assert dead == sorted(model.dead)
            assert all(r["message"] and r["stream"] and r["letter_id"] for r in arrow.to_pylist())
    return model


SEEDS = int(os.environ.get("SEEDS", 16))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_one_cut(lake, seed):
    since = time.time() * 1e6 - 1
    data = b"\n".join(Nasty(seed).lines(250)) + b"\n"
    lake.load("-", "--threads", "1", stdin=data)
    assert check_all(lake, data, since).tables


def settings(r):
    """Cuts, budgets and cores, at random."""
    return ["--threads", r.choice([1, 2, 3, 4]), "--memory", r.choice(["64MB", "64MB", "256MB"]), "--commit-interval",
            r.choice(["100ms", "60s"]), "--commit-bytes", r.choice(["64KB", "32MB"]), "--max-partitions",
            r.choice([1, 3, 2000]), "--zstd-level", r.choice([0, 1])]


@pytest.mark.long
@pytest.mark.parametrize("seed", range(max(SEEDS // 4, 1)))
def test_any_cuts_budgets_restarts_and_cores(lake, tmp_path, seed):
    """Each event once, and each rebuilt from its row and _rescued; each dead letter once."""
    r = random.Random(seed)
    nasty, model, paths = Nasty(1000 + seed), expected.Lake(), []
    for i in range(r.choice([1, 2, 3])):
        data = b"\n".join(nasty.lines(2000)) + b"\n"
        model.load(data)
        paths.append(tmp_path / f"{i}.ndjson{r.choice(['', '.gz'])}")
        paths[i].write_bytes(gzip.compress(data) if paths[i].suffix == ".gz" else data)
    for _ in range(r.randrange(6)):
        p = subprocess.Popen([INLET, "load", *map(str, paths), "--lake", str(lake.path), *map(str, settings(r))],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(r.random() * 0.3)
        p.kill()
        p.wait()
    lake.load(*paths, *settings(r))
    lake.load(*paths, *settings(r))
    sent = {}
    for path in paths:
        data = path.read_bytes()
        for line in (gzip.decompress(data) if path.suffix == ".gz" else data).split(b"\n"):
            event = expected.parse(line)[0]
            if isinstance(event, dict) and isinstance(event.get("event_uuid"), str):
                sent.setdefault(event["event_uuid"], json.loads(line))
    rows = [u for t in model.tables.values() for u in t.rows]
    rebuild.check(lake, [sent[u] for u in rows])
    dead = lake.rows("inlet_dead_letters")
    assert sorted((d["reason"], bytes(d["payload"])) for d in dead) == sorted(model.dead)
