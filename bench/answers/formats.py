"""What format? The same events as NDJSON, gzip NDJSON, Avro, ORC and inlet's Parquet: size, time of a scan, what Athena would charge."""
import gzip
import json
import pathlib
import shutil
import subprocess
import sys

from common import OUT, events_file, load, table


def lake_tables(lake):
    import conftest
    reader = conftest.Lake(lake)
    for t in reader.tables():
        if not t.startswith("inlet_"):
            yield t, reader.pyiceberg(t).scan().to_arrow()


def plain(value):
    import datetime
    return value.isoformat() if isinstance(value, datetime.datetime) else value


def avro_schema(name, arrow):
    """Avro's types of an Arrow schema, all optional."""
    import pyarrow as pa

    def of(t, path):
        if pa.types.is_struct(t):
            return {"type": "record", "name": path, "fields": [{"name": f.name, "type": ["null", of(f.type, f"{path}_{f.name}")]} for f in t]}
        if pa.types.is_list(t) or pa.types.is_large_list(t):
            return {"type": "array", "items": ["null", of(t.value_type, path + "_e")]}
        if pa.types.is_boolean(t):
            return "boolean"
        if pa.types.is_integer(t):
            return "long"
        return "double" if pa.types.is_floating(t) else "string"
    return {"type": "record", "name": name, "fields": [{"name": f.name, "type": ["null", of(f.type, f"{name}_{f.name}")]} for f in arrow]}


def write_all(lake, source, to):
    import fastavro
    import pyarrow.orc as orc
    for kind in ("avro", "orc"):
        (to / kind).mkdir(parents=True)
    for name, rows in lake_tables(lake):
        orc.write_table(rows, to / "orc" / f"{name}.orc", compression="zstd")
        with open(to / "avro" / f"{name}.avro", "wb") as f:
            records = ({k: plain(v) for k, v in r.items()} for b in rows.to_batches(max_chunksize=10000) for r in b.to_pylist())
            fastavro.writer(f, fastavro.parse_schema(avro_schema(name, rows.schema)), records, codec="deflate")
    with open(source, "rb") as f, gzip.open(to / "events.ndjson.gz", "wb", compresslevel=6) as out:
        shutil.copyfileobj(f, out, 1 << 20)


SCAN = "count events and sum one number by subtype, of one type, in ten minutes"


def scans(lake, source, to, name, number):
    """The one question, put to each format, as code for a process of its own."""
    import conftest
    parquet = conftest.Lake(lake).pyiceberg(name).metadata_location
    where = "created_at BETWEEN 1795132800 AND 1795133399.999"
    json_sql = ("SELECT split_part(json ->> 'event_name', ':', 2) s, count(*), sum(TRY_CAST(json ->> '{0}' AS DOUBLE)) FROM (SELECT CASE WHEN json_valid(column0) "
                "THEN column0 END AS json FROM read_csv('{1}', header=false, delim=chr(1), quote='', escape='', auto_detect=false, columns={{'column0': 'VARCHAR'}}, "
                "max_line_size=20000000)) WHERE split_part(json ->> 'event_name', ':', 1) = '{2}' AND TRY_CAST(json ->> 'created_at' AS DOUBLE) BETWEEN 1795132800 AND 1795133399.999 GROUP BY 1")
    pick = f"SELECT event_subtype s, count(*), sum({number}) FROM %s WHERE {where} GROUP BY 1"
    duck = "con.execute({0!r}).fetchall()"
    return {
        "NDJSON": (duck.format(json_sql.format(number, source, name)), [source]),
        "NDJSON, gzip": (duck.format(json_sql.format(number, to / "events.ndjson.gz", name)), [to / "events.ndjson.gz"]),
        "Avro, deflate": (duck.format(pick % f"read_avro('{to}/avro/{name}.avro')"), list((to / "avro").glob("*.avro"))),
        "ORC, zstd": ("rows = o.ORCFile(%r).read(columns=['event_subtype', 'created_at', %r]); con.execute(%r).fetchall()"
                      % (f"{to}/orc/{name}.orc", number, pick % "rows"), list((to / "orc").glob("*.orc"))),
        "Parquet (inlet), zstd": (duck.format(pick % f"iceberg_scan('{parquet}')"), list((lake / "events").rglob("data/**/*.parquet"))),
    }


def ask(warm, code):
    """In a process of its own that was asked of another table first: what is loaded then (libraries, time zones) is not the format's."""
    whole = ("import sys, time, json; sys.path.insert(0, sys.argv[1]); import partitioning; import pyarrow.orc as o; con = partitioning.connect()\n"
             "read = lambda: int(open('/proc/self/io').read().split()[1])\n" + warm + "\na, t = read(), time.perf_counter()\n" + code +
             "\nprint(json.dumps({'seconds': time.perf_counter() - t, 'bytes': read() - a}))")
    r = subprocess.run([sys.executable, "-c", whole, str(pathlib.Path(__file__).parent)], text=True, stdout=subprocess.PIPE, check=True)
    return json.loads(r.stdout.splitlines()[-1])  # DuckDB may draw a progress bar above


def run(scale):
    n = 1_000_000 // scale
    source, lake, to = events_file(n), OUT / "lake-format", OUT / "formats"
    shutil.rmtree(to, ignore_errors=True)
    load(lake, source)
    write_all(lake, source, to)
    result = {}
    warm = scans(lake, source, to, "login", "created_at")
    for name, (code, files) in scans(lake, source, to, "payment", "duration_ms").items():
        best = min((ask(warm[name][0], code) for _ in range(3)), key=lambda a: a["seconds"])
        result[name] = {"size": sum(pathlib.Path(f).stat().st_size for f in files), "seconds": best["seconds"], "bytes": best["bytes"]}
    for d in (lake, to):
        shutil.rmtree(d, ignore_errors=True)
    return {"events": n, "scan": SCAN, "formats": result}


def show(r):
    prices = json.loads((pathlib.Path(__file__).parent / "prices.json").read_text())["prices"]
    n, usd = r["events"], prices["athena_tb"]["usd"]
    rows = []
    for name, f in r["formats"].items():
        day = f["bytes"] / n * 24e6
        seen = f["bytes"] > 4096  # a file that is mapped into memory is not read by calls
        rows.append([name, f"{f['size'] / n:.0f}", f"{f['seconds'] * 1000:,.0f}", f"{f['bytes'] / 1e6:,.2f}" if seen else "mapped",
                     f"{max(day, 10e6) / 1e12 * usd * 100:.3f}" if seen else "?"])
    return (f"{n:,} events; the question: {r['scan']} (payment). A row format has no table of its own for a type where the events lie mixed (NDJSON).\n\n" +
            table(["format", "bytes/event", "scan ms", "MB read", "Athena, cents a query over a day of 24M"], rows))
