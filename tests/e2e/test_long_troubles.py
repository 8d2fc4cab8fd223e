"""Troubles of many minutes, in a program whose time goes twenty times as fast (tests/standin/hasty_clock.c): a quarter
of an hour of them is what a table is given up after, so ten minutes lose nothing and give nothing up."""
import json
import signal
import subprocess
import time
import uuid

import pytest
from conftest import INLET, PLAIN, REAL_S3, ROOT, Faults
from pyiceberg.exceptions import NoSuchNamespaceError
from test_s3_lake import S3Lake, event

pytestmark = pytest.mark.skipif(bool(REAL_S3), reason="needs more than S3")
HASTE = 20


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    so = tmp_path_factory.mktemp("hasty") / "hasty_clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-O1", "-o", so, ROOT / "tests" / "standin" / "hasty_clock.c", "-ldl"],
                   check=True)
    return {"LD_PRELOAD": str(so), "ASAN_OPTIONS": "verify_asan_link_order=0", "HASTE": str(HASTE)}


class Consumer:
    """`inlet run` of a stream of its own into S3 and Glue, all of it through one proxy."""

    def __init__(self, tmp_path, aws, url, env, leases=None, shards=1, interval="10s"):
        self.name, self.sent = "s" + uuid.uuid4().hex[:8], 0
        self.kinesis = aws[0]("kinesis")
        self.kinesis.create_stream(StreamName=self.name, ShardCount=shards)
        self.lake = S3Lake(tmp_path, aws, aws[1], f"glue://{self.name}", leases or f"sqlite:{tmp_path}/leases.db")
        self.log = tmp_path / "log"
        with open(self.log, "wb") as log:
            self.p = subprocess.Popen([INLET, "run", "--stream", f"kinesis://{self.name}", *self.lake.options, "--commit-interval", interval,
                                       "--s3-addressing", "path"],
                                      env={**PLAIN, **aws[1], "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": url, **env},
                                      stderr=log)

    def put(self, n):
        self.kinesis.put_records(StreamName=self.name, Records=[
            {"Data": json.dumps(event(i, f"click{i % 2}:x")).encode(), "PartitionKey": str(i)} for i in range(self.sent, self.sent + n)])
        self.sent += n

    def rows(self):
        try:
            return sum(self.lake.uuids().values()) if self.lake.tables() else 0
        except NoSuchNamespaceError:  # the program has only just begun
            return 0

    def wait(self, n, seconds=60):
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.p.poll() is None:
            if self.rows() >= n:
                return
            time.sleep(0.3)
        raise AssertionError(f"{n} rows have not come: {self.log.read_text()[-2000:]}")

    def wait_to_say(self, text, seconds=60):
        until = time.monotonic() + seconds
        while text.encode() not in self.log.read_bytes():
            assert time.monotonic() < until and self.p.poll() is None, self.log.read_text()[-2000:]
            time.sleep(0.1)

    def pause(self):
        """Of the program's own time, in seconds: the longest between two commits of a table."""
        at = [s.timestamp_ms for s in self.lake.pyiceberg("click0").metadata.snapshots]
        return max(b - a for a, b in zip(at, at[1:])) / 1000

    def end(self):
        self.p.send_signal(signal.SIGTERM)
        assert self.p.wait(timeout=60) == 0, self.log.read_text()[-2000:]
        got = self.lake.uuids()
        assert set(got) == {f"u{i:06}" for i in range(self.sent)} and max(got.values()) == 1
        assert "inlet_dead_letters" not in self.lake.tables() or not self.lake.rows("inlet_dead_letters")


@pytest.fixture
def consumer(tmp_path, aws, faults):
    made = []

    def make(*args, **kw):
        made.append(Consumer(tmp_path, aws, *args, **kw))
        return made[-1]
    yield make
    for c in made:
        c.p.kill()
        c.p.wait()


@pytest.mark.long
@pytest.mark.parametrize("where", ["all", "catalog"])
def test_ten_minutes_of_throttling(consumer, faults, hasty, where):
    c = consumer(faults.url, hasty)
    c.put(100)
    c.wait(100)
    faults.add({"fault": "status", "status": 400, "code": "ThrottlingException", "target": "Glue"},
               *([] if where == "catalog" else [
                   {"fault": "status", "status": 400, "code": "ProvisionedThroughputExceededException", "target": "Kinesis", "share": 0.8},
                   {"fault": "status", "status": 503, "code": "SlowDown", "path": "/lake-"}]))
    until = time.monotonic() + 630 / HASTE
    while time.monotonic() < until:
        c.put(10)
        time.sleep(1)
    struck = [r["struck"] for r in faults.rules()]
    faults.clear()
    c.put(50)
    c.wait(c.sent)
    assert all(n > 3 for n in (struck if where == "catalog" else struck[1:])), struck  # without S3 the catalog is not asked
    assert 600 < c.pause() < 1500
    c.end()


@pytest.mark.long
def test_names_are_not_resolved_for_minutes(consumer, aws, hasty, tmp_path):
    """Three minutes; curl remembers a name for one of them, so until then every connection is reset."""
    gone, proxy = tmp_path / "gone", Faults(aws[1]["AWS_ENDPOINT_URL"])
    try:
        c = consumer(proxy.url.replace("127.0.0.1", "aws.test"), {**hasty, "NAMES_GONE": str(gone),
                                                                  "AWS_ENDPOINT_URL_S3": aws[1]["AWS_ENDPOINT_URL"]})
        c.put(100)
        c.wait(100)
        gone.write_bytes(b"")
        proxy.add({"fault": "reset"})
        until = time.monotonic() + 180 / HASTE
        while time.monotonic() < until:
            c.put(10)
            time.sleep(0.5)
        tries = gone.stat().st_size
        gone.unlink()
        proxy.clear()
        c.put(50)
        c.wait(c.sent)
        assert tries > 3
        c.end()
    finally:
        proxy.close()


class Leases:
    """In DynamoDB, as another worker sees them."""

    def __init__(self, aws):
        self.table = "leases-" + uuid.uuid4().hex[:8]
        self.uri, self.client = f"dynamodb://{self.table}", aws[0]("dynamodb")

    def counters(self):
        items = self.client.scan(TableName=self.table, ConsistentRead=True)["Items"]
        return {i["shardId"]["S"]: int(i["leaseCounter"]["N"]) for i in items}

    def change(self, how, shard="shardId-000000000000", **values):
        key = {"leaseKey": next(i["leaseKey"] for i in self.client.scan(TableName=self.table)["Items"] if i["shardId"]["S"] == shard)}
        self.client.update_item(TableName=self.table, Key=key, UpdateExpression=how + " ADD leaseCounter :one",
                                ExpressionAttributeValues={":one": {"N": "1"}, **{f":{k}": {"S": v} for k, v in values.items()}})

    def steal(self):
        self.change("SET leaseOwner = :o", o="elsewhere:1:1")


@pytest.mark.long
def test_a_lost_shard_while_no_lease_can_be_read(consumer, aws, faults, hasty):
    leases = Leases(aws)
    c = consumer(faults.url, hasty, leases.uri)
    c.put(100)
    c.wait(100)
    leases.steal()
    c.wait_to_say("is given up")
    faults.add({"fault": "status", "status": 500, "code": "InternalServerError", "target": "DynamoDB"})
    c.wait_to_say("will try again")
    time.sleep(180 / HASTE)
    faults.clear()
    c.put(50)
    c.wait(150)
    c.wait_to_say("is ours again")
    c.end()


@pytest.mark.long
def test_a_lost_shard_has_ended_while_shards_cannot_be_listed(consumer, aws, faults, hasty):
    leases = Leases(aws)
    c = consumer(faults.url, hasty, leases.uri)
    c.put(100)
    c.wait(100)
    faults.add({"fault": "status", "status": 500, "code": "InternalFailure", "target": "ListShards"})
    leases.steal()
    c.wait_to_say("is given up")
    c.kinesis.split_shard(StreamName=c.name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    leases.change("SET checkpoint = :end REMOVE leaseOwner", end="SHARD_END")
    c.put(50)
    c.wait_to_say("will try again")
    time.sleep(90 / HASTE)
    faults.clear()
    c.wait(150)
    c.end()


@pytest.mark.long
@pytest.mark.parametrize("what", ["PutItem", "GetTable"])
def test_a_shard_ends_while_its_children_cannot_be_taken(consumer, aws, faults, hasty, what):
    leases = Leases(aws)
    c = consumer(faults.url, hasty, leases.uri)
    c.put(100)
    c.wait(100)
    faults.add({"fault": "status", "status": 500, "code": "InternalServerError", "target": what})
    c.kinesis.split_shard(StreamName=c.name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    c.put(50)
    c.wait_to_say("will try again")
    time.sleep(60 / HASTE)
    faults.clear()
    c.wait(150)
    c.end()


@pytest.mark.long
def test_leases_are_kept_while_the_lake_is_slow_to_be_read(consumer, aws, faults):
    """Each read of S3 takes four seconds, once one of two shards is ours again: what the tables hold of it, and what of it
    belongs in the dedup window. The other's lease moves all the same, or whoever stands by would take it."""
    leases = Leases(aws)
    c = consumer(faults.url, {}, leases.uri, shards=2, interval="1s")
    c.put(100)
    c.wait(100)
    leases.steal()
    c.wait_to_say("is given up")
    faults.add({"fault": "delay", "seconds": 4, "method": "GET", "path": "/lake-"})
    leases.change("REMOVE leaseOwner")
    c.wait_to_say("is ours again")
    began = moved = time.monotonic()
    counter, still = leases.counters(), 0
    while b"read back from the lake" not in c.log.read_bytes():
        assert time.monotonic() - began < 120 and c.p.poll() is None, c.log.read_text()
        now = leases.counters()
        if now["shardId-000000000001"] != counter["shardId-000000000001"]:
            counter, moved = now, time.monotonic()
        still = max(still, time.monotonic() - moved)
        time.sleep(0.1)
    took = time.monotonic() - began
    faults.clear()
    assert took > 12 and still < 10, (took, still)
    c.put(50)
    c.wait(150)
    c.end()
