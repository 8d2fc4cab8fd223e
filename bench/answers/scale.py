"""What changes at 1000 times fewer or more events? CPU and requests as measured, prices from prices.json, and the program at the
rate of a billion events an hour on this machine."""
import json
import math
import pathlib
import shutil
import subprocess
import time

from common import INLET, OUT, events_file, live_commit, load, objects, say, table

RATES = {"1 thousand": 1e3, "1 million": 1e6, "1 billion": 1e9}
BILLION_A_SECOND = 277_778
ROWS = (("shards of the stream", "shards"), ("the stream itself", "stream"), ("cores busy", "cores"), ("vCPU given", "vcpu"),
        ("inlet: Fargate, PUTs, Glue", "inlet"), ("Firehose to Iceberg", "firehose_iceberg"), ("Firehose to Parquet (one schema)", "firehose_parquet"),
        ("Firehose, raw", "firehose_raw"), ("new data a month, GB", "stored_gb"), ("storing it, a month", "storage"))


def price(name, all_prices=json.loads((pathlib.Path(__file__).parent / "prices.json").read_text())):
    return all_prices["hours_a_month"] if name == "hours" else all_prices["prices"][name]["usd"]


def measure_commit(scale):
    """CPU of an event, bytes of an event in and out, objects of one commit of all tables."""
    n = 1_000_000 // scale
    best = min((load(OUT / "lake-scale", events_file(n), "--threads", "1") for _ in range(3)), key=lambda r: r["cpu_seconds"])
    lake = objects(OUT / "lake-scale")
    one = live_commit()
    shutil.rmtree(OUT / "lake-scale", ignore_errors=True)
    return {"cpu_us_per_event": best["cpu_seconds"] / n * 1e6, "bytes_in": best["report"]["bytes"] / n, "bytes_out": lake["bytes"] / n,
            "objects_per_commit": one["data_files"] + one["metadata_files"], "peak_mb": best["peak_mb"]}


def billion(scale):
    """gen at a billion an hour into inlet's standard input: does it keep up?"""
    seconds = max(300 // scale, 5)
    n = BILLION_A_SECOND * seconds
    say(f"scale: {BILLION_A_SECOND:,} events a second for {seconds} s")
    lake = OUT / "lake-billion"
    shutil.rmtree(lake, ignore_errors=True)
    gen = subprocess.Popen([INLET, "gen", "--events", str(n), "--rate", str(BILLION_A_SECOND), "--quiet"], stdout=subprocess.PIPE)
    began = time.monotonic()
    r = subprocess.run([INLET, "load", "-", "--lake", lake, "--quiet", "--json"], stdin=gen.stdout, stdout=subprocess.PIPE, check=True)
    took = time.monotonic() - began
    gen.wait()
    report = json.loads(r.stdout)
    shutil.rmtree(lake, ignore_errors=True)
    return {"asked_seconds": seconds, "took_seconds": took, "events": n, "rows": report["rows"], "kept_up": took < seconds * 1.02 + 2,
            "files": report["files"], "commits": report["commits"]}


def month(rate, m):
    """Dollars a month: the stream (whoever reads it), inlet, Firehose to Iceberg, Firehose to Parquet, Firehose raw."""
    hours, events = price("hours"), rate * price("hours")
    record = m["bytes_in"]
    shards = max(1, math.ceil(rate / 3600 / 1000), math.ceil(rate * record / 3600 / 1e6))
    stream = shards * hours * price("kinesis_shard_hour") + events / 1e6 * price("kinesis_million_put_units")
    cores = rate / 3600 * m["cpu_us_per_event"] / 1e6
    vcpu = next((v for v in (0.25, 0.5, 1, 2, 4, 8, 16) if v >= 2 * cores), math.ceil(2 * cores))  # half of it idle
    memory = max(0.5, vcpu * 2)
    commits = hours * 60 / (15 if rate < 1e5 else 5 if rate < 1e8 else 1)
    task = hours * (vcpu * price("fargate_arm_vcpu_hour") + memory * price("fargate_arm_gb_hour") + price("public_ipv4_hour"))
    requests = commits * m["objects_per_commit"] / 1000 * price("s3_put_1000")
    glue = max(0, commits * m["objects_per_commit"] / 3 - 1e6) / 1e6 * price("glue_million_requests")
    gb, rounded = events * record / 2**30, events * 5 * 1024 / 2**30
    return {"stream": stream, "shards": shards, "cores": cores, "vcpu": vcpu, "inlet": task + requests + glue,
            "firehose_iceberg": gb * price("firehose_iceberg_gb"),
            "firehose_parquet": rounded * (price("firehose_gb") + price("firehose_conversion_gb")),
            "firehose_raw": rounded * price("firehose_gb"), "stored_gb": events * m["bytes_out"] / 2**30,
            "storage": events * m["bytes_out"] / 2**30 * price("s3_gb_month")}


def run(scale):
    m = measure_commit(scale)
    return {"measured": m, "billion": billion(scale), "months": {name: month(rate, m) for name, rate in RATES.items()}}


def show(r):
    m, b = r["measured"], r["billion"]
    usd = lambda x: f"{x:,.2f}" if x < 1000 else f"{x:,.0f}"
    rows = [["events an hour", *r["months"]]]
    body = []
    for label, key in ROWS:
        body.append([label, *(f"{x[key]:,}" if key == "shards" else f"{x[key]:.4f}" if key == "cores" else f"{x[key]:g}" if key == "vcpu" else usd(x[key])
                              for x in r["months"].values())])
    kept = "kept up" if b["kept_up"] else "did NOT keep up"
    return (f"Measured: {m['cpu_us_per_event']:.2f} us of CPU an event, {m['bytes_in']:.0f} bytes in, {m['bytes_out']:.0f} bytes out, {m['objects_per_commit']} objects for a commit of all tables, "
            f"peak {m['peak_mb']:.0f} MB. At {BILLION_A_SECOND:,} events a second for {b['asked_seconds']} s on 2 cores, the generator beside it, inlet {kept}: "
            f"{b['rows']:,} rows in {b['took_seconds']:.0f} s, {b['commits']:,} commits.\n\n" + table(rows[0], body))
