"""A lake in S3 with its catalog in Glue, or behind Iceberg's REST protocol: the promises of a local lake, kept through
kill -9, lost answers and a worker that wakes up late."""
import json
import random
import signal
import subprocess
import time
import uuid

import pytest
from conftest import INLET, PLAIN, REAL_S3, Faults, start_standin
from test_s3_lake import S3Lake, event, expected, generated

pytestmark = pytest.mark.skipif(bool(REAL_S3), reason="needs more than S3")


class CatalogLake(S3Lake):
    """In S3 through the fault proxy, its catalog through `proxies[-1]`."""

    def __init__(self, tmp_path, aws, faults, kind):
        self.kind, self.proxies, self.procs = kind, [faults], []
        name = "db_" + uuid.uuid4().hex[:10]
        super().__init__(tmp_path, aws, {**aws[1], "AWS_ENDPOINT_URL": faults.url}, f"glue://{name}", f"sqlite:{tmp_path}/leases.db")
        if kind == "rest":
            proc, port = start_standin("rest.py", lambda port: ["--port", port, "--warehouse", f"s3://{self.bucket}/w", "--s3",
                                                                aws[1]["AWS_ENDPOINT_URL"]])
            self.procs.append(proc)
            self.rest = f"http://127.0.0.1:{port}"
            self.proxies.append(Faults(self.rest))
            self.options[self.options.index(f"glue://{name}")] = "rest+" + self.proxies[-1].url
            self.database = "events"
        self.leases = lambda uri: [o if not o.startswith("sqlite:") else uri for o in self.options]

    def catalog(self):
        if self.kind == "glue":
            return super().catalog()
        from pyiceberg.catalog.rest import RestCatalog
        d = self.direct
        return RestCatalog("rest", uri=self.rest, **{
            "s3.endpoint": d["AWS_ENDPOINT_URL"], "s3.region": d["AWS_REGION"], "s3.access-key-id": d["AWS_ACCESS_KEY_ID"],
            "s3.secret-access-key": d["AWS_SECRET_ACCESS_KEY"], "s3.force-virtual-addressing": "false"})

    def lose_commits(self, share):
        """Answers to writes of the catalog are lost, or say that something went wrong, before and after it acted."""
        rules = [("lost", {}), ("after", {"status": 500}), ("after", {"status": 504}), ("reset", {}), ("status", {"status": 503}),
                 ("status", {"status": 500})]
        where = {"path": "/tables", "method": "POST"} if self.kind == "rest" else {"target": "UpdateTable|CreateTable"}
        self.proxies[-1].add(*({"fault": fault, "share": share, "seed": i, **where, **more} for i, (fault, more) in enumerate(rules)))

    def struck(self):
        return sum(r["struck"] for p in self.proxies for r in p.rules())

    def well_again(self):
        for p in self.proxies:
            p.clear()

    def holds_once(self, sent):
        got = self.uuids()
        assert set(got) == set(sent), f"lost {len(set(sent) - set(got))}, more {len(set(got) - set(sent))}"
        assert max(got.values()) == 1, "an event is there twice"

    def close(self):
        for p in self.proxies[1:]:
            p.close()
        for p in self.procs:
            p.terminate()
            p.wait()


@pytest.fixture(params=["glue", "rest"])
def lake(request, tmp_path, aws, faults):
    made = CatalogLake(tmp_path, aws, faults, request.param)
    yield made
    made.close()


SMALL = ["--commit-interval", "100ms", "--commit-bytes", "64KB", "--quiet"]


@pytest.mark.long
def test_kill_at_any_request(lake, tmp_path):
    """Between any two requests, to the store or to the catalog: commits in flight, tables and columns half made."""
    text, f, r = generated(6000), tmp_path / "in.ndjson", random.Random(3)
    f.write_bytes(text)
    command = [INLET, "load", str(f), *lake.options, *SMALL]
    killed = sum(r.choice(lake.proxies).kill_after(r.randrange(1, 40), command, lake.env) for _ in range(14))
    lake.load(f)
    lake.holds_once(expected(text))
    assert killed > 5
    assert json.loads(lake.load(f, "--json").stdout)["rows_committed"] == 0


@pytest.mark.long
def test_answers_of_commits_lost(lake, faults, tmp_path):
    """With what S3 does besides; each file changes the schema too."""
    sent = set()
    lake.lose_commits(0.06)
    faults.add(*({"fault": fault, "path": "/metadata/|/data/", "share": 0.01, "seed": i, **more} for i, (fault, more) in enumerate(
        [("lost", {"method": "PUT"}), ("after", {"method": "PUT", "status": 500}), ("reset", {}), ("truncate", {"method": "GET"})])))
    for i in range(5):
        events = [event(i * 1000 + n, f"click{n % 4}:x", **{f"column_{i}": n}) for n in range(200)]
        f = tmp_path / f"{i}.ndjson"
        f.write_text("\n".join(map(json.dumps, events)))
        for _ in range(10):
            p = lake.load(f, *SMALL, check=False)
            assert b"somebody" not in p.stderr, p.stderr
            if p.returncode == 0:
                break
        assert p.returncode == 0, p.stderr
        sent |= {e["event_uuid"] for e in events}
    assert lake.struck() > 10
    lake.well_again()
    lake.holds_once(sent)


@pytest.mark.long
def test_killed_while_answers_are_lost(lake, tmp_path):
    text, f, r = generated(9000, 2), tmp_path / "in.ndjson", random.Random(5)
    f.write_bytes(text)
    lake.lose_commits(0.08)
    command = [INLET, "load", str(f), *lake.options, *SMALL]
    killed = sum(lake.proxies[-1].kill_after(r.randrange(2, 16 if lake.kind == "rest" else 60), command, lake.env)
                 for _ in range(10))
    struck = lake.struck()
    lake.well_again()
    lake.load(f)
    lake.holds_once(expected(text))
    assert killed > 3 and struck > 1


def put(client, stream, events):
    client.put_records(StreamName=stream, Records=[{"Data": json.dumps(e).encode(), "PartitionKey": e["event_uuid"]} for e in events])


@pytest.mark.long
def test_a_worker_that_wakes_up_late(lake, aws):
    """Two workers of one stream, leases in DynamoDB: the first is stopped in the middle of its commits for longer than its
    lease, the second takes over, then the first goes on with what it had in its hands."""
    name, n = "s" + uuid.uuid4().hex[:8], 0
    client = aws[0]("kinesis")
    client.create_stream(StreamName=name, ShardCount=2)
    options = [*lake.leases(f"dynamodb://{name}"), "--stream", f"kinesis://{name}", "--namespace", "events", "--quiet"]
    env = {**PLAIN, **lake.env, "AWS_ENDPOINT_URL_KINESIS": aws[1]["AWS_ENDPOINT_URL"], "AWS_ENDPOINT_URL_DYNAMODB": aws[1]["AWS_ENDPOINT_URL"]}
    first = subprocess.Popen([INLET, "run", *options, "--commit-interval", "200ms"], env=env, stderr=subprocess.PIPE)
    try:
        def more():
            nonlocal n
            put(client, name, [event(i, f"click{i % 3}:x") for i in range(n, n + 100)])
            n += 100
        more()
        # Frozen at the very moment that a commit's answer is under way.
        lake.proxies[-1].add({"fault": "delay", "seconds": 0.5, "times": 3, "skip": 3,
                              **({"path": "/tables/click", "method": "POST"} if lake.kind == "rest" else {"target": "UpdateTable"})})
        until = time.monotonic() + 30
        while not lake.struck() and time.monotonic() < until:
            more()
            time.sleep(0.2)
        assert lake.struck()
        first.send_signal(signal.SIGSTOP)
        more()
        subprocess.run([INLET, "run", *options, "--until-caught-up"], env=env, timeout=120, check=True)
        lake.holds_once({f"u{i:06}" for i in range(n)})
        first.send_signal(signal.SIGCONT)
        more()
        until = time.monotonic() + 60
        while len(lake.uuids()) < n and first.poll() is None and time.monotonic() < until:
            time.sleep(0.3)
        first.send_signal(signal.SIGTERM)
        err = first.communicate(timeout=60)[1].decode()
        assert first.returncode == 0, err
    finally:
        first.kill()
        first.wait()
    lake.holds_once({f"u{i:06}" for i in range(n)})
