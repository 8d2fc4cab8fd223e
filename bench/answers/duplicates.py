"""How are duplicates handled? A stream of four shards; a thousand events of each kind come a second time; the lake is
asked how often each is there. The window is shortened from an hour to a minute so that it can be left behind."""
import json
import os
import random
import shutil
import signal
import subprocess
import time

from common import INLET, OUT, events_file, kinesis, load, say, table

EACH = 1000
WINDOW_S = 60
KINDS = {
    "sent again at once": "window",
    "sent again into another shard": "window",
    "with another payload (counted apart)": "window",
    "with a created_at of the next day": "window",
    "after a restart of inlet": "window, rebuilt from the lake",
    "after the window": "not yet: stays until compaction",
}


def put(client, events, keys):
    for i in range(0, len(events), 500):
        records = [{"Data": json.dumps(e).encode(), "PartitionKey": k} for e, k in zip(events[i:i + 500], keys[i:i + 500])]
        answer = client.put_records(StreamName="answers", Records=records)
        assert answer["FailedRecordCount"] == 0


def caught_up(env, lake):
    r = subprocess.run([INLET, "run", "--stream", "kinesis://answers", "--lake", lake, "--until-caught-up", "--quiet", "--json",
                        "--dedup-window", f"{WINDOW_S}s"], env=env, stdout=subprocess.PIPE, check=True)
    return json.loads(r.stdout)


def first_pass(client, env, lake, events, groups, keys):
    """One process, alive over the first four kinds."""
    p = subprocess.Popen([INLET, "run", "--stream", "kinesis://answers", "--lake", lake, "--quiet", "--json", "--commit-interval", "1s",
                          "--dedup-window", f"{WINDOW_S}s"], env=env, stdout=subprocess.PIPE)
    put(client, events, keys)
    at_once, elsewhere, differing, restamped = groups[:4]
    key = {e["event_uuid"]: k for e, k in zip(events, keys)}
    same = lambda group: [key[e["event_uuid"]] for e in group]
    put(client, at_once, same(at_once))
    put(client, elsewhere, [f"other-{i}" for i in range(EACH)])
    put(client, [e | {"note": "changed"} for e in differing], same(differing))
    put(client, [e | {"created_at": e["created_at"] + 86400} for e in restamped], same(restamped))
    time.sleep(4)
    p.send_signal(signal.SIGTERM)
    out, _ = p.communicate(timeout=60)
    assert p.returncode == 0
    return json.loads(out)


def times_in_lake(lake):
    import conftest
    found = {}
    reader = conftest.Lake(lake)
    for t in reader.tables():
        if not t.startswith("inlet_"):
            for row in reader.duckdb(t, "event_uuid"):
                found[row["event_uuid"]] = found.get(row["event_uuid"], 0) + 1
    return found


def run(scale):
    n = max(100000 // scale, 20000)
    lake = OUT / "lake-duplicates"
    shutil.rmtree(lake, ignore_errors=True)
    path = events_file(n, duplicates=0, malformed=0, conflicts=0)
    events = [e for e in map(json.loads, open(path)) if isinstance(e["created_at"], float) and e["created_at"] < 1e11]
    rng = random.Random(1)
    keys = [f"key-{rng.random()}" for _ in events]
    chosen = rng.sample(events, EACH * len(KINDS))
    groups = [chosen[i * EACH:(i + 1) * EACH] for i in range(len(KINDS))]
    with kinesis() as (client, extra):
        env = {**os.environ, **extra}
        client.create_stream(StreamName="answers", ShardCount=4)
        while client.describe_stream_summary(StreamName="answers")["StreamDescriptionSummary"]["StreamStatus"] != "ACTIVE":
            time.sleep(0.1)
        reports = [first_pass(client, env, lake, events, groups, keys)]
        put(client, groups[4], [f"restart-{i}" for i in range(EACH)])
        reports.append(caught_up(env, lake))
        time.sleep(WINDOW_S + 2)
        put(client, groups[5], [f"late-{i}" for i in range(EACH)])
        reports.append(caught_up(env, lake))
    found = times_in_lake(lake)
    lost = sum(1 for e in events if e["event_uuid"] not in found)
    rows = []
    for (kind, where), group in zip(KINDS.items(), groups):
        twice = sum(found.get(e["event_uuid"], 0) > 1 for e in group)
        rows.append({"kind": kind, "sent_twice": EACH, "dropped": EACH - twice, "where": where})
    differing = sum(r["duplicates_different"] for r in reports)
    return {"events": len(events), "lost": lost, "kinds": rows, "counted_as_differing": differing, "cost": cost(scale)}


def cost(scale):
    """What a million remembered ids cost: the same load with a window and with as good as none."""
    n = 1000000 // scale
    path = events_file(n, duplicates=0, malformed=0)
    say(f"duplicates: what {n:,} remembered ids cost")
    best = {}
    for name, window in (("with", "1h"), ("without", "1us")) * 3:
        r = load(OUT / "lake-cost", path, "--dedup-window", window, "--threads", "1")
        if name not in best or r["cpu_seconds"] < best[name]["cpu_seconds"]:
            best[name] = r
    shutil.rmtree(OUT / "lake-cost", ignore_errors=True)
    return {"ids": n, "cpu_us_per_event": (best["with"]["cpu_seconds"] - best["without"]["cpu_seconds"]) / n * 1e6,
            "peak_mb_with": best["with"]["peak_mb"], "peak_mb_without": best["without"]["peak_mb"]}


def show(r):
    text = table(["a duplicate", "sent twice", "dropped", "where"],
                 [[k["kind"], f"{k['sent_twice']:,}", f"{k['dropped']:,}", k["where"]] for k in r["kinds"]])
    c = r["cost"]
    return (f"{r['events']:,} events in 4 shards, window {WINDOW_S} s instead of an hour; {r['lost']} lost.\n\n{text}\n\n"
            f"Counted as differing in payload: {r['counted_as_differing']:,}. {c['ids']:,} remembered ids: peak memory "
            f"{c['peak_mb_with']:.0f} MB against {c['peak_mb_without']:.0f} MB, {c['cpu_us_per_event']:.2f} us of CPU an event.")
