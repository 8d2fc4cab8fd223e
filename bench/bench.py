"""make bench: inlet beside others on one core, and where its time goes.

Each contender reads the same newline-delimited JSON and leaves zstd Parquet partitioned by event type and day. They
take turns on one core (taskset), REPEATS times, and what each has written is on the disk when it ends; the best of each
is shown, for a shared machine only ever adds to a time. Right before each run that counts is one that does not: memory
that nobody has used for seconds is to be had from a virtual machine's host again, at milliseconds a megabyte. Results go
to build/bench/results.json too.

  EVENTS=1000000 REPEATS=3 BIG=1 (ten times the events once more, for memory, and EVENTS from Kinesis) PEERS=inlet,duckdb (a selection)"""
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "bench"
INLET = str(ROOT / "build" / "inlet")
EVENTS = int(os.environ.get("EVENTS", 1_000_000))
REPEATS = int(os.environ.get("REPEATS", 3))
CORE = os.environ.get("CORE", str(max(os.sched_getaffinity(0))))
KINESIS = int(os.environ.get("KINESIS", 200_000))
CORES = ",".join(map(str, sorted(os.sched_getaffinity(0))[:2]))


def measure(args, cores=CORE):
    """Wall and CPU seconds, peak memory and what it printed."""
    began = time.monotonic()
    with open(OUT / "out.txt", "w+") as out, open(OUT / "err.txt", "w+") as err:
        p = subprocess.Popen(["taskset", "-c", cores, *map(str, args)], stdout=out, stderr=err)
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - began
        out.seek(0)
        err.seek(0)
        if p.returncode:
            raise RuntimeError(f"{args}: {err.read()[-2000:]}")
        return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "user": usage.ru_utime, "rss_mb": usage.ru_maxrss / 1024,
                "out": out.read()}


def size_mb(path):
    return sum(f.stat().st_size for f in pathlib.Path(path).rglob("*.parquet")) / 1e6


def fresh(name):
    """A path that is free. What is there gives its memory back at once, but is removed later: a file system looks long
    for a place while files have just been removed."""
    path = OUT / name
    if path.exists():
        for old in path.rglob("*.parquet"):
            os.truncate(old, 0)
        trash = OUT / "trash"
        trash.mkdir(exist_ok=True)
        path.rename(trash / f"{name}-{time.monotonic_ns()}")
    return path


def inlet(events, threads=1, cores=CORE):
    lake = fresh("lake")
    r = measure([INLET, "load", events, "--lake", lake, "--threads", threads, "--quiet", "--json"], cores)
    r["report"] = json.loads(r.pop("out"))
    r["size_mb"] = size_mb(lake)
    return r


def rewritten_mb(lake):
    """The same rows, file by file, as pyarrow writes them (zstd, its defaults). In a process of its own, for the peak of
    a child that is measured later begins with ours."""
    code = """import pathlib, sys
import pyarrow.parquet as pq
total, to = 0, pathlib.Path(sys.argv[2])
for f in pathlib.Path(sys.argv[1]).rglob("*.parquet"):
    pq.write_table(pq.ParquetFile(f).read(), to, compression="zstd")
    total += to.stat().st_size
print(total / 1e6)"""
    return float(subprocess.run([sys.executable, "-c", code, lake / "events", OUT / "again.parquet"], check=True, capture_output=True, text=True).stdout)


def peer(name, events):
    to = fresh("peer")
    to.mkdir()
    r = measure([sys.executable, ROOT / "bench" / "peers.py", name, events, to])
    r["size_mb"] = size_mb(to)
    del r["out"]
    return r


def kinesis(count):
    """CPU of an event read from a stream of four shards, at the pace that AWS allows, against one loaded from a file."""
    events, best = events_file(count), {}
    server = subprocess.Popen([sys.executable, ROOT / "bench" / "stream.py", events, "4"], stdout=subprocess.PIPE, text=True)
    try:
        os.environ |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{int(server.stdout.readline())}", "AWS_REGION": "eu-west-1",
                       "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
        for _ in range(REPEATS):
            from_stream = measure([INLET, "run", "--stream", "kinesis://bench", "--lake", fresh("lake"), "--until-caught-up", "--threads", "1",
                                   "--quiet", "--json"])
            report = json.loads(from_stream.pop("out"))
            if report["records"] != count:
                raise RuntimeError(f"{report['records']} of {count} records were read")
            for name, r in (("stream", from_stream), ("file", inlet(events))):
                best[name] = min(best.get(name, r["cpu"]), r["cpu"])
    finally:
        server.terminate()
        server.wait()
    return {"events": count, "stream_cpu_us": best["stream"] / count * 1e6, "file_cpu_us": best["file"] / count * 1e6,
            "ratio": best["stream"] / best["file"]}


CONTENDERS = {
    "inlet": lambda e: inlet(e),
    "inlet, 2 cores": lambda e: inlet(e, threads=2, cores=CORES),
    "chdb, payload": lambda e: peer("chdb", e),
    "DuckDB, payload": lambda e: peer("duckdb", e),
    "DuckDB, typed": lambda e: peer("duckdb_typed", objects_only(e)),
    "json + pyarrow, typed": lambda e: peer("pyarrow", e),
}
# What takes a minute for a million events is given fewer, and stated by its rate.
SHARE = {"DuckDB, typed": 10, "json + pyarrow, typed": 5}


def table(head, rows):
    rows = [[str(c) for c in r] for r in [head, *rows]]
    widths = [max(len(r[i]) for r in rows) for i in range(len(head))]
    for n, r in enumerate(rows):
        print("  " + "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))).rstrip())
        if n == 0:
            print("  " + "  ".join("-" * w for w in widths))


def events_file(n):
    path = OUT / f"events-{n}.ndjson"
    if not path.exists():
        with open(path, "wb") as f:
            subprocess.run([INLET, "gen", "--events", str(n), "--types", "100", "--seed", "1", "--start", "2026-11-20T00:00:00Z"], stdout=f,
                           stderr=subprocess.DEVNULL, check=True)
    return path


def objects_only(path):
    """DuckDB's own inference gives up on a file with a line that is no object: it is spared them."""
    to = path.with_suffix(".objects.ndjson")
    if not to.exists():
        def is_object(line):
            try:
                return isinstance(json.loads(line), dict)
            except ValueError:
                return False
        with open(path, "rb") as f, open(to, "wb") as out:
            out.writelines(line for line in f if is_object(line))
    return to


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    wanted = [w.strip().lower() for w in os.environ.get("PEERS", "").split(",") if w.strip()]
    names = [n for n in CONTENDERS if not wanted or any(n.lower().startswith(w) for w in wanted)]
    files = {n: events_file(EVENTS // SHARE.get(n, 1)) for n in names}
    whole = events_file(EVENTS)
    print(f"{EVENTS:,} events, {whole.stat().st_size / EVENTS:.0f} bytes each; core {CORE}; best of {REPEATS}, taking turns\n")
    runs = {n: [] for n in names}
    for i in range(REPEATS):
        order = names[:]  # who comes after whom counts: memory that was just freed is cheaper than what the host has taken back
        random.Random(i).shuffle(order)
        for n in order:
            if i and SHARE.get(n, 1) > 5:
                continue
            if sys.stderr.isatty():
                print(f"  {i + 1}/{REPEATS} {n:30}", end="\r", file=sys.stderr, flush=True)
            CONTENDERS[n](files[n])
            runs[n].append(CONTENDERS[n](files[n]))
    best = {}
    for n in names:
        fastest = min(runs[n], key=lambda r: r["wall"])
        count = EVENTS // SHARE.get(n, 1)
        best[n] = {"events_per_second": count / fastest["wall"], "cpu_us_per_event": min(r["cpu"] for r in runs[n]) / count * 1e6,
                   "rss_mb": max(r["rss_mb"] for r in runs[n]), "output_bytes_per_event": fastest["size_mb"] * 1e6 / count,
                   "walls": [r["wall"] for r in runs[n]]}
    first = best.get("inlet", next(iter(best.values())))
    if sys.stderr.isatty():
        print(" " * 60, end="\r", file=sys.stderr)
    table(["", "events/s", "inlet is faster by", "CPU us/event", "peak MB", "bytes/event"],
          [[n, f"{b['events_per_second']:,.0f}", f"{first['events_per_second'] / b['events_per_second']:.2f}",
            f"{b['cpu_us_per_event']:.2f}", f"{b['rss_mb']:.0f}", f"{b['output_bytes_per_event']:.1f}"] for n, b in best.items()])
    result = {"events": EVENTS, "contenders": best}
    if "inlet" in runs and "inlet, 2 cores" in runs:
        result["two_cores"] = best["inlet, 2 cores"]["events_per_second"] / first["events_per_second"]
        print(f"\ntwo cores: {result['two_cores']:.2f} times one")
    if "inlet" in runs:
        report = min(runs["inlet"], key=lambda r: r["wall"])
        stages = dict(report["report"]["stage_seconds"])
        stages["other"] = report["cpu"] - sum(stages.values())
        print(f"\nwhere one core's {report['wall']:.2f} s go (seconds of CPU)")
        table(["", "s", "share of CPU", "us/event"], [[k, f"{v:.2f}", f"{v / report['cpu']:.0%}", f"{v / EVENTS * 1e6:.2f}"] for k, v in stages.items()])
        waited = report["report"]["elapsed_seconds"]
        print(f"  waiting for the disk beside that: write {waited['write']:.2f} s, commit {waited['commit']:.2f} s, of all committers")
        print(f"  {report['report']['commits']} commits, {report['report']['files']} files, {report['report']['fast_rows'] / report['report']['rows']:.1%} of rows by the fast path")
        result |= {"stages": stages, "report": report["report"]}
    if "inlet" in runs:
        ours, theirs = inlet(whole)["size_mb"], rewritten_mb(OUT / "lake")
        print(f"\nsize: {ours:.1f} MB; the same rows and files rewritten by pyarrow (zstd): {theirs:.1f} MB, ratio {ours / theirs:.2f}")
        result["size_mb"] = {"inlet": ours, "pyarrow": theirs}
    shred = measure([ROOT / "build" / "bench" / "shred_bench", whole, REPEATS])["out"].splitlines()
    print("\nparse and shred alone, in memory\n  " + max(shred, key=lambda s: float(s.split()[1])))
    result["shred_alone"] = shred
    counts = [KINESIS] if "inlet" in runs and KINESIS else []
    if counts and os.environ.get("BIG"):
        counts.append(EVENTS)  # at the pace of AWS that takes a while
    result["kinesis"] = [kinesis(n) for n in counts]
    for k in result["kinesis"]:
        print(f"\nfrom Kinesis (4 shards, at AWS's pace), {k['events']:,} records: {k['stream_cpu_us']:.2f} us of CPU an event, from a file {k['file_cpu_us']:.2f}: {k['ratio']:.2f} times")
    if os.environ.get("BIG"):
        path = events_file(EVENTS * 10)
        for threads, cores in ((1, CORE), (2, CORES)):
            big = inlet(path, threads=threads, cores=cores)
            rate = EVENTS * 10 / big["wall"]
            print(f"\n{EVENTS * 10:,} events, {threads} core(s): {rate:,.0f} events/s, peak {big['rss_mb']:.0f} MB, {big['report']['commits']} commits, {big['report']['files']} files")
            result[f"big_{threads}"] = {"events_per_second": rate, "rss_mb": big["rss_mb"], "cpu_us_per_event": big["cpu"] / EVENTS / 10 * 1e6}
        path.unlink()
    for name in ("lake", "peer", "trash"):
        shutil.rmtree(OUT / name, ignore_errors=True)
    (OUT / "results.json").write_text(json.dumps(result, indent=1))
    print(f"\nall of it: {(OUT / 'results.json').relative_to(ROOT)}")


if __name__ == "__main__":
    main()
