"""How is the data partitioned? One day of 24 million events laid out in four ways, the same five queries over each, by DuckDB."""
import json
import shutil
import subprocess
import sys

from common import LIVE_EVENTS, OUT, events_file, live_commit, load, objects, say, table

LAYOUTS = {
    "day, sorted by subtype": ["day(event_time)"],
    "subtype + day": ["event_subtype", "day(event_time)"],
    "subtype + hour": ["event_subtype", "hour(event_time)"],
    "not partitioned": [],
}
HOUR = "event_time >= TIMESTAMPTZ '2026-11-20 12:00:00+00' AND event_time < TIMESTAMPTZ '2026-11-20 13:00:00+00'"
COMMITS_A_DAY = 288


def queries(lake):
    """Name and SQL; {T} is a table's scan, {ALL} the union of all."""
    import conftest
    reader = conftest.Lake(lake)
    tables = [t for t in reader.tables() if not t.startswith("inlet_")]
    scans = {t: f"iceberg_scan('{reader.pyiceberg(t).metadata_location}')" for t in tables}
    con = connect()
    sizes = {t: con.execute(f"SELECT count(*) FROM {s}").fetchone()[0] for t, s in scans.items()}
    big = max(sizes, key=sizes.get)
    subtype = con.execute(f"SELECT event_subtype FROM {scans[big]} WHERE event_subtype IS NOT NULL GROUP BY 1 ORDER BY count(*), 1 LIMIT 1").fetchone()[0]
    uuid, = con.execute(f"SELECT event_uuid FROM {scans[big]} ORDER BY event_uuid LIMIT 1").fetchone()
    at, = con.execute(f"SELECT event_time::VARCHAR FROM {scans[big]} WHERE event_uuid = '{uuid}'").fetchone()
    user, = con.execute(f"SELECT user_id FROM {scans[big]} WHERE user_id IS NOT NULL ORDER BY event_uuid LIMIT 1").fetchone()
    everything = " UNION ALL ".join(f"SELECT event_type, event_subtype, event_time, user_id FROM {s}" for t, s in scans.items()
                                    if "user_id" in [f.name for f in reader.pyiceberg(t).schema().fields])
    return {
        "one subtype, one hour": f"SELECT count(*) FROM {scans[big]} WHERE event_subtype = '{subtype}' AND {HOUR}",
        "one subtype, the day, by hour": f"SELECT date_trunc('hour', event_time)::VARCHAR, count(*) FROM {scans[big]} WHERE event_subtype = '{subtype}' GROUP BY 1",
        "one type, by subtype": f"SELECT event_subtype, count(*) FROM {scans[big]} GROUP BY 1",
        "one event, its time known": f"SELECT * FROM {scans[big]} WHERE event_uuid = '{uuid}' AND event_time = TIMESTAMPTZ '{at}'",
        "one user, everywhere": f"SELECT event_type, count(*) FROM ({everything}) WHERE user_id = '{user}' GROUP BY 1",
    }


def connect():
    import conftest
    import duckdb
    con = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    for name in ("avro", "iceberg"):
        con.execute(f"LOAD '{conftest.extension(name)}'")
    con.execute("SET TimeZone='UTC'")
    con.execute("SET threads=2")
    return con


def ask(sql):
    """In a process of its own (it is told on standard input): seconds, and the bytes that its reads asked for."""
    code = ("import sys, time, json; sys.path.insert(0, sys.argv[1]); import partitioning\n"
            "c = partitioning.connect(); sql = sys.stdin.read(); c.execute('SELECT 1').to_arrow_table().to_pylist()\n"
            "read = lambda: int(open('/proc/self/io').read().split()[1])\n"
            "a, t = read(), time.perf_counter(); rows = c.execute(sql).to_arrow_table()\n"
            "print(json.dumps({'seconds': time.perf_counter() - t, 'bytes': read() - a, 'answer': [rows.num_rows, sorted(map(str, rows.to_pylist())) if rows.num_columns < 3 else None]}))")
    r = subprocess.run([sys.executable, "-c", code, str(OUT.parents[1] / "bench" / "answers")], input=sql, text=True, stdout=subprocess.PIPE, check=True)
    return json.loads(r.stdout.splitlines()[-1])  # DuckDB may draw a progress bar above


def config(lake_tables, fields):
    path = OUT / "layout.yaml"
    path.write_text("tables:\n" + "".join(f"  {t}:\n    partition_by: [{', '.join(fields)}]\n" for t in lake_tables))
    return path


def run(scale):
    import conftest
    day = events_file(24_000_000 // scale)
    load(OUT / "lake-names", events_file(LIVE_EVENTS))
    names = [t for t in conftest.Lake(OUT / "lake-names").tables() if not t.startswith("inlet_")]
    result, answers = {}, {}
    asked = None
    for layout, fields in LAYOUTS.items():
        say(f"partitioning: a day, laid out as {layout}")
        settings = config(names, fields)
        lake = OUT / "lake-day"
        r = load(lake, day, "--config", settings)
        each = {}
        asked = queries(lake)
        for name, sql in asked.items():
            best = min((ask(sql) for _ in range(3)), key=lambda a: a["seconds"])
            each[name] = {"seconds": best["seconds"], "bytes": best["bytes"]}
            assert answers.setdefault(name, best["answer"]) == best["answer"], f"{layout}: {name}: another answer"
        o = live_commit("--config", settings)
        result[layout] = objects(lake) | {"load_seconds": r["seconds"], "queries": each,
                                          "objects_per_commit": o["data_files"] + o["metadata_files"],
                                          "puts_a_day": (o["data_files"] + o["metadata_files"]) * COMMITS_A_DAY}
    for name in ("lake-day", "lake-names"):
        shutil.rmtree(OUT / name, ignore_errors=True)
    return {"events": 24_000_000 // scale, "layouts": result}


def show(r):
    layouts = r["layouts"]
    head = table(["layout", "files", "MB", "PUTs a commit", "PUTs a day, live", "load s"],
                 [[n, f"{l['data_files']:,}", f"{l['bytes'] / 1e6:,.0f}", f"{l['objects_per_commit']:,}", f"{l['puts_a_day']:,}", f"{l['load_seconds']:.0f}"] for n, l in layouts.items()])
    names = list(next(iter(layouts.values()))["queries"])
    body = table(["query: MB read, seconds", *layouts],
                 [[q, *(f"{l['queries'][q]['bytes'] / 1e6:,.1f}, {l['queries'][q]['seconds']:.2f}" for l in layouts.values())] for q in names])
    return f"{r['events']:,} events of one day, loaded without compaction; DuckDB on 2 threads, best of 3, from the page cache.\n\n{head}\n\n{body}"
