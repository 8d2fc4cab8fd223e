"""What a commit costs where the store answers in 30 ms and the catalog in 80 ms (delaying proxies before the stand-ins), and
how many requests it is. build/venv/bin/python bench/commits.py [TABLES] [ROUNDS]"""
import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from conftest import INLET, Faults, aws_env, clients, ndjson, start_moto, start_standin  # noqa: E402

STORE, CATALOG = 0.030, 0.080


def delayed(to, seconds):
    proxy = Faults(to)
    proxy.add({"fault": "delay", "seconds": seconds})
    return proxy


def kind(entry):
    action = entry["target"].split(".")[-1]
    if action:
        return action
    path = entry["path"]
    what = "files" if "/data/" in path else "metadata.json" if "metadata.json" in path else \
        "list" if "/snap-" in path else "manifest" if path.split("?")[0].endswith(".avro") else re.sub(r"^/v1/.*tables.*", "table", path)
    return f"{entry['method']} {what}"


def run(kind_of_catalog, catalog, proxies, env, lake, tables, rounds):
    command = [INLET, "load", "-", "--json", "--lake", lake, "--catalog", catalog, "--leases", f"sqlite:{tempfile.mkdtemp()}/leases.db",
               "--commit-interval", "100ms"]
    proc = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **env})
    commits = lambda: sum(e["status"] == 200 and (e["target"].endswith("UpdateTable") or e["method"] == "POST" and "/tables/" in e["path"])
                          for e in proxies[1].log())
    walls = []
    for i in range(rounds + 1):
        for p in proxies:
            p.clear()
        proxies[0].add({"fault": "delay", "seconds": STORE})
        proxies[1].add({"fault": "delay", "seconds": CATALOG})
        began = time.time()
        proc.stdin.write(ndjson([{"event_uuid": f"{i}-{t}", "event_name": f"t{t}:x", "created_at": 1763971200 + t, "n": i} for t in range(tables)]))
        proc.stdin.flush()
        while commits() < tables:
            assert proc.poll() is None
            time.sleep(0.01)
        time.sleep(0.3)
        walls.append(time.time() - began - 0.3)
    counts = collections.Counter(kind(e) for p in proxies for e in p.log())  # of the last round: nothing is new in it
    proc.stdin.close()
    report = json.loads(proc.stdout.read())
    assert proc.wait() == 0
    spent = report["elapsed_seconds"]
    return {"catalog": kind_of_catalog, "tables": tables, "commits": report["commits"],
            "ms_a_commit": round(1000 * (spent["write"] + spent["commit"]) / report["commits"]),
            "requests_a_commit": {k: round(v / tables, 2) for k, v in sorted(counts.items())},
            "sum": round(sum(counts.values()) / tables, 2), "round_s": [round(w, 2) for w in walls[1:]]}


def main():
    tables, rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 8, int(sys.argv[2]) if len(sys.argv) > 2 else 5
    moto, port = start_moto()
    work = tempfile.mkdtemp()
    env = aws_env(port)
    clients(env)("s3").create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": env["AWS_REGION"]})
    rest, rest_port = start_standin("rest.py", lambda p: ["--port", p, "--warehouse", work, "--s3", env["AWS_ENDPOINT_URL"]])
    store, glue, catalog = (delayed(env["AWS_ENDPOINT_URL"], STORE), delayed(env["AWS_ENDPOINT_URL"], CATALOG),
                            delayed(f"http://127.0.0.1:{rest_port}", CATALOG))
    env |= {"AWS_ENDPOINT_URL_S3": store.url, "AWS_ENDPOINT_URL_GLUE": glue.url}
    try:
        for one in (run("glue", "glue://bench", (store, glue), env, "s3://lake/g", tables, rounds),
                    run("rest", f"rest+{catalog.url}", (store, catalog), env, "s3://lake/r", tables, rounds)):
            print(json.dumps(one))
    finally:
        for p in (store, glue, catalog):
            p.close()
        for p in (rest, moto):
            p.terminate()
            p.wait()


if __name__ == "__main__":
    main()
