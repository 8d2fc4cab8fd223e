"""make bench-s3: the same load into a directory and into S3 (the stand-in, on this machine), what a commit costs in
requests, and how long it takes where a store answers in 30 ms and a catalog in 80 ms.

The stand-in is Python and shares the machine: its CPU is measured and set apart. Results go to build/bench/s3.json.

  EVENTS=1000000 REPEATS=3"""
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter

sys.path.insert(0, os.path.dirname(__file__))
from bench import CORES, EVENTS, INLET, OUT, REPEATS, ROOT, events_file, fresh, measure, table

STORE_MS, CATALOG_MS = 30, 80


def free_port():
    import socket
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def start(script, *args):
    p = subprocess.Popen([sys.executable, ROOT / "tests" / "standin" / script, *map(str, args)], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    return p


def wait_for(url):
    for _ in range(300):
        try:
            return urllib.request.urlopen(url).read()
        except urllib.error.HTTPError:
            return None
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")


def cpu_of(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Aws:
    def __init__(self):
        self.port, self.proxy_port = free_port(), free_port()
        self.server = start("aws.py", "-H", "127.0.0.1", "-p", self.port)
        self.proxy = start("faults.py", "--port", self.proxy_port, "--to", f"http://127.0.0.1:{self.port}")
        os.environ.update({"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"})
        wait_for(f"http://127.0.0.1:{self.port}/moto-api/data.json")
        wait_for(f"http://127.0.0.1:{self.proxy_port}/_faults")
        self.n = 0

    def use(self, proxied):
        os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{self.proxy_port if proxied else self.port}"

    def tell(self, method, path="", body=None):
        data = json.dumps(body).encode() if body is not None else None
        url = f"http://127.0.0.1:{self.proxy_port}/_faults{path}"
        return json.load(urllib.request.urlopen(urllib.request.Request(url, data=data, method=method)))

    def client(self, service):
        import boto3
        return boto3.client(service, endpoint_url=f"http://127.0.0.1:{self.port}")

    def lake(self, glue=False):
        """Options of a fresh lake."""
        self.n += 1
        name = f"bench{self.n}"
        self.client("s3").create_bucket(Bucket=name)
        if glue:
            self.client("glue").create_database(DatabaseInput={"Name": name})
            return ["--lake", f"s3://{name}/lake", "--catalog", f"glue://{name}", "--leases", f"sqlite:{fresh(f'leases{self.n}.db')}"]
        return ["--lake", f"s3://{name}/lake", "--catalog", f"sqlite:{fresh(f'catalog{self.n}.db')}"]

    def forget(self):
        """moto keeps objects in memory and in files of its own: it is started anew."""
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{self.port}/moto-api/reset", method="POST"))

    def close(self):
        for p in (self.proxy, self.server):
            p.terminate()
            p.wait()


def load(events, options, *more):
    r = measure([INLET, "load", events, *options, *more, "--quiet", "--json"], CORES)
    r["report"] = json.loads(r.pop("out"))
    return r


def throughput(aws):
    events, best = events_file(EVENTS), {}
    aws.use(False)
    for _ in range(REPEATS):
        local = load(events, ["--lake", fresh("lake")])
        before = cpu_of(aws.server.pid)
        s3 = load(events, aws.lake())
        s3["server_cpu"] = cpu_of(aws.server.pid) - before
        aws.forget()
        for name, r in (("a directory", local), ("S3", s3)):
            if name not in best or r["cpu"] < best[name]["cpu"]:
                best[name] = r
    rows = [[n, f"{EVENTS / r['wall']:,.0f}", f"{r['cpu'] / EVENTS * 1e6:.2f}", f"{r.get('server_cpu', 0) / EVENTS * 1e6:.2f}",
             f"{r['rss_mb']:.0f}", r["report"]["commits"], r["report"]["files"]] for n, r in best.items()]
    print(f"{EVENTS:,} events, two cores, best of {REPEATS}, taking turns\n")
    table(["into", "events/s", "CPU us/event", "server's CPU us/event", "peak MB", "commits", "files"], rows)
    share = best["a directory"]["cpu"] / best["S3"]["cpu"]
    print(f"\n  speed by inlet's own CPU, of the directory's: {share:.0%}\n")
    return {"events": EVENTS, "runs": best, "speed_by_cpu": share}


def kind_of(entry):
    path = entry["path"].split("?")[0]
    if "list-type" in entry["path"]:
        return "list"
    return f"{entry['method']} " + ("data" if path.endswith(".parquet") else "metadata.json" if path.endswith(".metadata.json")
                                    else "manifest or list" if path.endswith(".avro") else re.sub(r".*\.", "", entry["target"]) or path)


def one_table(n, first):
    path = OUT / f"one-{first}.ndjson"
    path.write_text("".join(json.dumps({"event_uuid": f"u{i}", "event_name": "click", "created_at": 1795485784, "n": i}) + "\n" for i in range(first, first + n)))
    return path


def requests(aws):
    """One table that is there, many commits of one file each, in one process."""
    options = aws.lake()
    aws.use(True)
    load(one_table(100, 0), options)
    aws.tell("DELETE")
    r = load(one_table(400_000, 1000), options, "--commit-bytes", "64KB", "--commit-interval", "100ms", "--dedup-window", "0")["report"]
    log = [e for e in aws.tell("GET", "/log") if "/click/" in e["path"]]
    log = log[next(i for i, e in enumerate(log) if kind_of(e) == "PUT data"):]  # what the start reads is not a commit's
    kinds = Counter(map(kind_of, log))
    per = (len(log) - kinds["PUT data"]) / r["commits"]
    print(f"requests of {r['commits']} commits ({r['files']} files) to one table, by what they are:")
    for k, n in kinds.most_common():
        print(f"  {k:20} {n / r['commits']:.2f} a commit")
    print(f"  {'beside the files':20} {per:.2f} a commit, listings {kinds['list']}\n")
    return {"commits": r["commits"], "files": r["files"], "kinds": dict(kinds), "beside_files": per}


def latency(aws):
    """Tables that are there; every answer of the store 30 ms late, of the catalog 80 ms."""
    options = aws.lake(glue=True)
    aws.use(True)
    events = events_file(20_000)
    aws.tell("DELETE")
    load(events, options)
    aws.tell("POST", body=[{"fault": "delay", "seconds": CATALOG_MS / 1000, "target": "AWSGlue"},
                           {"fault": "delay", "seconds": STORE_MS / 1000}])
    more = OUT / "more.ndjson"
    with open(more, "wb") as f:
        subprocess.run([INLET, "gen", "--events", "20000", "--types", "100", "--seed", "2", "--start", "2026-11-20T00:00:00Z"], stdout=f,
                       stderr=subprocess.DEVNULL, check=True)
    r = load(more, options)
    aws.tell("DELETE")
    report = r["report"]
    seconds = (report["elapsed_seconds"]["write"] + report["elapsed_seconds"]["commit"]) / report["commits"]
    print(f"a commit with a store of {STORE_MS} ms and a catalog of {CATALOG_MS} ms: {seconds * 1000:.0f} ms "
          f"({report['commits']} tables, four side by side; the whole load {r['wall']:.1f} s)\n")
    return {"commit_ms": seconds * 1000, "commits": report["commits"], "wall": r["wall"]}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    aws = Aws()
    try:
        results = {"throughput": throughput(aws), "requests": requests(aws), "latency": latency(aws)}
    finally:
        aws.close()
    (OUT / "s3.json").write_text(json.dumps(results, indent=1))
    print(f"written: {OUT / 's3.json'}")


if __name__ == "__main__":
    main()
