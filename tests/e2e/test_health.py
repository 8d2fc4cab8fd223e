"""inlet run: /healthz, /readyz, /metrics, CloudWatch embedded metrics, log formats, and being stopped."""
import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

import model
from conftest import INLET, run
from test_run import make, put


class Worker:
    def __init__(self, lake, stream, env, tmp_path, *args):
        self.err = open(tmp_path / "stderr", "w+b")
        self.out = open(tmp_path / "stdout", "w+b")
        self.p = subprocess.Popen([INLET, "run", "--stream", f"kinesis://{stream}", "--lake", str(lake.path), *args],
                                  stdout=self.out, stderr=self.err, env={**os.environ, **env})

    def log(self):
        self.err.flush()
        return open(self.err.name, "rb").read().decode()

    def text(self):
        return open(self.out.name, "rb").read().decode()

    def port(self):
        return int(until(lambda: re.search(r"/metrics at .*, port (\d+)", self.log())).group(1))

    def get(self, path, method="GET", data=None):
        url = f"http://127.0.0.1:{self.port()}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method=method, data=data), timeout=10) as r:
                return r.status, r.read().decode(), r.headers
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode(), e.headers

    def stop(self, how=signal.SIGTERM):
        self.p.send_signal(how)
        return self.p.wait(timeout=30)


def until(what, seconds=30):
    for _ in range(int(seconds / 0.05)):
        v = what()
        if v:
            return v
        time.sleep(0.05)
    raise AssertionError("it did not come to pass")


def samples(text):
    """What the Prometheus client's own parser makes of it; it refuses what is no valid exposition."""
    from prometheus_client.parser import text_string_to_metric_families
    families = list(text_string_to_metric_families(text))
    for f in families:
        assert f.documentation and f.type in ("counter", "gauge", "summary"), f
        assert re.fullmatch(r"(inlet|process)_[a-z_]+", f.name)
        for s in f.samples:
            assert f.type != "counter" or s.name.endswith("_total"), s
            assert set(s.labels) <= {"table", "reason", "version"}, s
            assert not re.search(r"_(ms|milliseconds|minutes|kb|mb)(_|$)", s.name), s
    assert len({f.name for f in families}) == len(families)
    return {(s.name, *s.labels.values()): s.value for f in families for s in f.samples}


def test_http(lake, kinesis, tmp_path):
    client, env = kinesis
    client.create_stream(StreamName="watched", ShardCount=2)
    events = make(200) + [{**e, "event_name": f"type{i}:x"} for i, e in enumerate(make(4))]
    put(client, "watched", events + events[:30])
    client.put_record(StreamName="watched", Data=b"{not json", PartitionKey="a")
    w = Worker(lake, "watched", env, tmp_path, "--http", "127.0.0.1:0", "--commit-interval", "200ms", "--metrics-tables", "3")
    until(lambda: w.get("/readyz")[0] == 200)
    total = lambda m: sum(v for k, v in m.items() if k[0] == "inlet_rows_committed_total")
    until(lambda: total(samples(w.get("/metrics")[1])) == len(events) + 1)
    time.sleep(1.1)  # a snapshot is up to a second old
    status, text, headers = w.get("/metrics")
    m = samples(text)
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    tables = {k[1] for k in m if k[0] == "inlet_rows_committed_total"}
    assert len(tables) == 4 and "_other" in tables
    assert sum(v for k, v in m.items() if k[0] == "inlet_duplicates_total") == 30
    assert m["inlet_dead_letters_total", "invalid_json"] == 1
    assert m["inlet_records_total",] == len(events) + 31
    assert m["inlet_lag_seconds",] == 0 and m["inlet_uncommitted_age_seconds",] == 0
    assert abs(m["inlet_last_commit_timestamp_seconds",] - time.time()) < 60
    assert m["inlet_shards",] == 2 and m["process_resident_memory_bytes",] > 1 << 20
    assert json.loads(w.get("/healthz")[1]) == {"ok": True, "why": "commits go on"}
    assert w.get("/")[0] == 404 and w.get("/healthz", "POST", b"x" * 100)[0] == 405
    assert w.get("/healthz", "HEAD")[:2] == (200, "")
    assert w.stop() == 0
    model.check(lake, events)


def test_not_ready_before_it_reads(lake, kinesis, tmp_path):
    """A worker that cannot begin is alive, and not ready."""
    client, env = kinesis
    client.create_stream(StreamName="later", ShardCount=1)

    env = {**env, "AWS_ENDPOINT_URL_KINESIS": "http://127.0.0.1:1"}  # Kinesis cannot be reached
    w = Worker(lake, "later", env, tmp_path, "--http", "127.0.0.1:0")
    assert w.get("/readyz")[0] == 503 and w.get("/healthz")[0] == 200
    w.p.kill()
    w.p.wait()


def test_address(lake, tmp_path):
    for address in ("nonsense", "127.0.0.1:99999", "::1:80", "127.0.0.1"):
        r = run("run", "--stream", "kinesis://x", "--lake", lake.path, "--http", address, check=False)
        assert r.returncode == 2 and b"127.0.0.1:9090" in r.stderr, r.stderr


def test_embedded_metrics(lake, kinesis, tmp_path):
    client, env = kinesis
    client.create_stream(StreamName="emf", ShardCount=1)
    events = make(100)
    put(client, "emf", events + events[:7])
    client.put_record(StreamName="emf", Data=b"[]", PartitionKey="a")
    w = Worker(lake, "emf", env, tmp_path, "--metrics", "emf", "--metrics-interval", "300ms", "--commit-interval", "200ms",
               "--log-format", "json")
    until(lambda: sum(json.loads(line).get("Rows", 0) for line in w.text().splitlines() if line.endswith("}") and
                      "Table" not in json.loads(line)) == 101)
    assert w.stop() == 0
    lines = [json.loads(line) for line in w.text().splitlines()]
    sums = {}
    for line in lines:
        assert abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 60
        [directive] = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "inlet" and len(directive["Metrics"]) <= 100
        [dimensions] = directive["Dimensions"]
        assert all(isinstance(line[d], str) for d in dimensions) and line["Stream"] == "emf"
        for metric in directive["Metrics"]:
            assert metric["Unit"] in ("Count", "Bytes", "Milliseconds")
            key = (line.get("Table"), metric["Name"])
            sums[key] = sums.get(key, 0) + line[metric["Name"]]
    assert sums[None, "Rows"] == 101 and sums[None, "Duplicates"] == 7 and sums[None, "DeadLetters"] == 1
    assert sums["order", "Rows"] == 100 and sums["order", "Duplicates"] == 7 and sums["order", "Bytes"] > 0
    assert sums["inlet_dead_letters", "Rows"] == 1
    for line in w.log().splitlines():
        assert set(json.loads(line)) == {"time", "level", "message"}, line


def test_logfmt(lake, tmp_path):
    f = tmp_path / "x.ndjson"
    f.write_bytes(b"{}\n")
    r = lake.load(f, "--log-format", "logfmt")
    lines = r.stderr.decode().splitlines()
    assert lines and all(re.fullmatch(r'time=\S+Z level=(info|warn|error) msg="([^"\\]|\\.)*"', line) for line in lines), lines
    r = run("load", "--lake", lake.path, "--log-format", "json", tmp_path / 'no"such\n', check=False)
    assert r.returncode == 1
