"""What the answers share: the program, files of events, processes that are measured, tables that line up."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "answers"
INLET = os.environ.get("INLET", str(ROOT / "build" / "inlet"))
START = "2026-11-20T00:00:00Z"
sys.path.insert(0, str(ROOT / "tests" / "e2e"))


def say(text):
    print(text, file=sys.stderr, flush=True)


def events_file(n, **options):
    """n generated events whose own time runs at a million an hour; made once."""
    path = OUT / f"events-{n}{''.join(f'-{k}{v}' for k, v in options.items())}.ndjson"
    if not path.exists():
        args = [x for k, v in options.items() for x in (f"--{k}", str(v))]
        with open(path, "wb") as f:
            subprocess.run([INLET, "gen", "--events", str(n), "--start", START, "--quiet", *args], stdout=f, check=True)
    return path


# A process starts with its parent's peak memory to its name: so a small one starts what is measured.
STARTER = """
import json, os, sys, time
began = time.monotonic()
_, status, used = os.wait4(os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ), 0)
print(json.dumps({"exit": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - began,
                  "cpu_seconds": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}), file=sys.stderr)"""


def measured(args):
    """Runs to the end; wall and CPU seconds, peak memory, standard output."""
    r = subprocess.run([sys.executable, "-S", "-c", STARTER, *map(str, args)], capture_output=True, text=True)
    *talk, last = r.stderr.strip().splitlines() or [""]
    result = json.loads(last)
    if result.pop("exit"):
        raise RuntimeError(f"{args}: {' '.join(talk)[-2000:]}")
    return result | {"out": r.stdout}


def load(lake, events, *options):
    shutil.rmtree(lake, ignore_errors=True)
    r = measured([INLET, "load", events, "--lake", lake, "--quiet", "--json", *options])
    return r | {"report": json.loads(r.pop("out"))}


def objects(lake):
    """What a store would have been asked to PUT: data files and metadata."""
    files = [f for f in (lake / "events").rglob("*") if f.is_file()]
    data = [f for f in files if f.suffix == ".parquet"]
    return {"data_files": len(data), "metadata_files": len(files) - len(data), "bytes": sum(f.stat().st_size for f in data)}


LIVE_EVENTS = 83333  # five minutes of a million an hour: how often a table with little data is committed


def live_commit(*options):
    """Objects that one commit of all tables PUTs once the tables are there and their columns known: the second of two loads."""
    lake, first, second = OUT / "lake-live", OUT / "live-1.ndjson", OUT / "live-2.ndjson"
    with open(events_file(2 * LIVE_EVENTS), "rb") as f, open(first, "wb") as a, open(second, "wb") as b:
        for i, line in enumerate(f):
            (a if i < LIVE_EVENTS else b).write(line)
    load(lake, first, *options)
    before = objects(lake)
    measured([INLET, "load", second, "--lake", lake, "--quiet", *options])
    after = objects(lake)
    for path in (first, second):
        path.unlink()
    shutil.rmtree(lake)
    return {k: after[k] - before[k] for k in after}


def table(head, rows):
    """A Markdown table whose columns line up in a terminal as well."""
    rows = [[str(c) for c in r] for r in [head, *rows]]
    widths = [max(len(r[i]) for r in rows) for i in range(len(head))]
    line = lambda r: "| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))) + " |"
    rule = "|" + "|".join("-" * (w + 1) + ("-" if i == 0 else ":") for i, w in enumerate(widths)) + "|"
    return "\n".join([line(rows[0]), rule, *map(line, rows[1:])])


@contextlib.contextmanager
def kinesis():
    """A Kinesis stand-in of its own, ended by pid."""
    import boto3
    import conftest
    proc, port = conftest.start_moto()
    env = conftest.aws_env(port)
    try:
        yield boto3.client("kinesis", endpoint_url=env["AWS_ENDPOINT_URL"], region_name=env["AWS_REGION"],
                           aws_access_key_id=env["AWS_ACCESS_KEY_ID"], aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"]), env
    finally:
        proc.terminate()
        proc.wait()
