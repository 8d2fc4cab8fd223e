"""A lake in S3 (and files to load that lie there): the same rows as in a directory, under faults and kill -9 too."""
import gzip
import json
import random
import re
import subprocess
import time
import uuid
from collections import Counter
from urllib.parse import parse_qs, urlsplit

import pytest
import zstandard

from conftest import INLET, PLAIN, REAL_S3, Lake, make_bucket, ndjson, run
from model import normal, rebuild
from test_files import forget


class S3Lake(Lake):
    def __init__(self, tmp_path, aws, env, catalog=None, leases=None):
        self.client, self.direct, self.env = aws[0], aws[1], {**env, "AWS_EC2_METADATA_DISABLED": "true"}
        self.bucket = "lake-" + uuid.uuid4().hex[:10]
        make_bucket(aws, self.bucket)
        self.path, self.db = f"s3://{self.bucket}/my/lake", tmp_path / "catalog.db"
        self.options = ["--lake", self.path, "--catalog", catalog or f"sqlite:{self.db}"] + (["--leases", leases] if leases else [])
        self.database = catalog.split("//")[1] if catalog else None

    def run(self, command, *args, **kw):
        return run(command, *args, *self.options, env=self.env, **kw)

    def load(self, *args, stdin=None, check=True, **kw):
        return self.run("load", *args, stdin=stdin, check=check, **kw)

    def catalog(self):
        d = self.direct
        io = {"s3.endpoint": d["AWS_ENDPOINT_URL"], "s3.region": d["AWS_REGION"], "s3.access-key-id": d["AWS_ACCESS_KEY_ID"],
              "s3.secret-access-key": d["AWS_SECRET_ACCESS_KEY"], "s3.force-virtual-addressing": "false"}
        if self.database:
            from pyiceberg.catalog.glue import GlueCatalog
            return GlueCatalog("default", **io, **{"glue.endpoint": self.direct["AWS_ENDPOINT_URL"], "glue.region": "eu-west-1",
                                                   "glue.access-key-id": "test", "glue.secret-access-key": "test"})
        from pyiceberg.catalog.sql import SqlCatalog
        return SqlCatalog("default", uri=f"sqlite:///{self.db}", **io)

    def tables(self):
        return sorted(t[1] for t in self.catalog().list_tables(self.database or "events"))

    def pyiceberg(self, table):
        return self.catalog().load_table((self.database or "events", table))

    def rows(self, table):
        return self.pyiceberg(table).scan().to_arrow().to_pylist()

    def uuids(self):
        return Counter(r["event_uuid"] for t in self.tables() if not t.startswith("inlet_") for r in
                       self.pyiceberg(t).scan(selected_fields=("event_uuid",)).to_arrow().to_pylist())


@pytest.fixture
def s3lake(tmp_path, aws):
    return S3Lake(tmp_path, aws, aws[1])


@pytest.fixture
def faulty(tmp_path, aws, faults):
    return S3Lake(tmp_path, aws, {**aws[1], "AWS_ENDPOINT_URL": faults.url})


def event(i, name="click:x", **fields):
    return {"event_uuid": f"u{i:06}", "event_name": name, "created_at": 1795485784 + i, "n": i, **fields}


def generated(n, seed=1):
    return run("gen", "--events", n, "--types", 6, "--seed", seed, "--start", "2026-11-20T00:00:00Z").stdout


def expected(text):
    out = set()
    for line in text.splitlines():
        try:
            e = json.loads(line)
            if isinstance(e["event_uuid"], str) and e["event_uuid"] and isinstance(e["event_name"], str) and e["event_name"].split(":")[0] \
                    and isinstance(e["created_at"], (int, float)) and 0 < e["created_at"]:
                out.add(e["event_uuid"])
        except (ValueError, KeyError, TypeError):
            pass
    return out


# ---- a lake in S3

READ_AT_START = 3  # its metadata (twice: once the lease is taken, positions are read anew), manifests


def no_lists_empty(v):
    """PyIceberg reads a null list as an empty one."""
    if isinstance(v, dict):
        return {k: no_lists_empty(x) for k, x in v.items() if x != []}
    return [no_lists_empty(x) for x in v] if isinstance(v, list) else v


def whole(row, schema):
    """A row's event, and our columns beside it: an empty list that came before its column is rescued, and two threads may meet the two in either order."""
    return {**{c: row[c] for c in ("created_datetime", "event_type", "event_subtype", "event_time")}, **no_lists_empty(normal(rebuild(row, schema)))}


def by_uuid(rows):
    return sorted(rows, key=lambda r: (str(r.get("event_uuid")), str(r)))


def test_the_same_rows_as_in_a_directory(s3lake, lake):
    text = generated(4000)
    for l in (s3lake, lake):
        l.load("-", stdin=text)
    assert s3lake.tables() == lake.tables() and len(lake.tables()) > 3
    for table in lake.tables():
        dead = table == "inlet_dead_letters"  # each load of standard input has a name of its own
        a, b = (by_uuid([{k: r[k] for k in ("reason", "message", "payload")} for r in l.rows(table)] if dead else
                        [whole(r, schema) for schema in [l.pyiceberg(table).schema()] for r in l.rows(table)]) for l in (s3lake, lake))
        for x, y in zip(a, b, strict=True):
            assert x == y, table
    assert b"signup" in s3lake.run("tables").stdout or b"click" in s3lake.run("tables").stdout
    for m in (m for t in s3lake.tables() for m in s3lake.pyiceberg(t).scan().plan_files()):
        assert m.file.file_path.startswith(s3lake.path + "/events/")


def test_faults_lose_and_double_nothing(faulty, faults, tmp_path):
    """One request in eight meets something."""
    text, f = generated(3000), tmp_path / "in.ndjson"
    f.write_bytes(text)
    faults.add(*({"fault": fault, "share": 0.025, "seed": i, **more} for i, (fault, more) in enumerate(
        [("lost", {"method": "PUT"}), ("after", {"method": "PUT"}), ("reset", {}), ("truncate", {"method": "GET"}),
         ("corrupt", {"method": "GET"}), ("status", {"status": 503, "code": "SlowDown"})])))
    faulty.load(f, "--commit-interval", "200ms")
    struck = sum(r["struck"] for r in faults.rules())
    faults.clear()
    got = faulty.uuids()
    assert set(got) == expected(text) and max(got.values()) == 1 and struck >= 5
    assert b'"rows_committed": 0' in faulty.load(f, "--json").stdout


def test_kill_at_any_moment(faulty, faults, tmp_path):
    text, f, r = generated(6000), tmp_path / "in.ndjson", random.Random(3)
    f.write_bytes(text)
    command = [INLET, "load", str(f), *faulty.options, "--commit-interval", "100ms", "--commit-bytes", "64KB", "--quiet"]
    killed = sum(faults.kill_after(r.randrange(1, 60), command, faulty.env) for _ in range(12))
    faulty.load(f)
    got = faulty.uuids()
    assert set(got) == expected(text) and max(got.values()) == 1 and killed > 3


def test_requests_of_a_commit(faulty, faults, tmp_path):
    """Known table, one file: its metadata is read, a data file, manifest, list and metadata are put. No listing."""
    f = tmp_path / "a"
    f.write_bytes(ndjson(event(i) for i in range(50)))
    faulty.load(f)
    faults.clear()
    g = tmp_path / "b"
    g.write_bytes(ndjson(event(i) for i in range(100, 150)))
    faulty.load(g, "--dedup-window", "0")
    log = [(e["method"], e["path"]) for e in faults.log()]
    assert not [e for e in log if "list-type" in e[1] or e[1].endswith("?delete=")], log
    own = [(m, re.sub(r"^.*/(metadata|data)/.*?([.]avro|[.]metadata[.]json|[.]parquet)$", r"\1\2", p)) for m, p in log if "/click/" in p]
    assert sorted(e for e in own if e[0] == "PUT") == [("PUT", "data.parquet"), ("PUT", "metadata.avro"), ("PUT", "metadata.avro"),
                                                       ("PUT", "metadata.metadata.json")], own
    assert len(own) <= 5 + 1 + READ_AT_START, own


@pytest.mark.skipif(bool(REAL_S3), reason="needs more than S3")
def test_run_into_s3_with_glue_and_dynamodb(tmp_path, aws):
    """A stream into S3, the catalog in Glue, the leases in DynamoDB: no disk needed."""
    name = "s" + uuid.uuid4().hex[:8]
    aws[0]("glue").create_database(DatabaseInput={"Name": name})
    k = aws[0]("kinesis")
    k.create_stream(StreamName=name, ShardCount=2)
    put = lambda n: k.put_records(StreamName=name, Records=[{"Data": json.dumps(event(i)).encode(), "PartitionKey": str(i)} for i in n])
    put(range(200))
    l = S3Lake(tmp_path, aws, aws[1], f"glue://{name}", f"dynamodb://{name}")
    go = lambda: l.run("run", "--stream", f"kinesis://{name}", "--until-caught-up", timeout=60)
    go()
    put(range(200, 300))
    go()
    got = l.uuids()
    assert set(got) == {f"u{i:06}" for i in range(300)} and max(got.values()) == 1
    assert not list(tmp_path.iterdir())


def test_what_an_s3_lake_needs_is_said(tmp_path, aws):
    r = run("load", "x", "--lake", "s3://bucket/x", check=False, env=aws[1])
    assert r.returncode == 2 and b"--catalog" in r.stderr
    r = run("run", "--stream", "kinesis://x", "--lake", "s3://bucket/x", "--catalog", "glue://db", check=False, env=aws[1])
    assert r.returncode in (1, 2) and b"--leases" in r.stderr
    r = run("load", "x", "--lake", "gs://bucket/x", check=False)
    assert r.returncode == 2 and b"s3://BUCKET/PREFIX" in r.stderr
    r = run("load", "s3://bucket/x", "--lake", tmp_path, check=False, env={**aws[1], "AWS_REGION": "no such region!"})
    assert r.returncode == 1 and b"region" in r.stderr


# ---- objects to load

@pytest.fixture
def inbox(aws):
    """put(key, bytes) into a bucket of its own."""
    bucket, s3 = "in-" + uuid.uuid4().hex[:10], aws[0]("s3", s3={"addressing_style": "path"})
    make_bucket(aws, bucket)

    def put(key, data):
        s3.put_object(Bucket=bucket, Key=key, Body=data)
        return f"s3://{bucket}/{key}"
    put.uri, put.env = f"s3://{bucket}", {**aws[1], "AWS_EC2_METADATA_DISABLED": "true"}
    return put


def joined(events):
    """As Firehose writes records that came without a newline."""
    return "".join(json.dumps(e, separators=(",", ":")) for e in events).encode()


def uuids(lake):
    return Counter(r["event_uuid"] for t in lake.tables() if not t.startswith("inlet_") for r in lake.rows(t))


def test_load_from_s3(lake, inbox):
    inbox("2026/11/24/plain", ndjson(event(i) for i in range(100)))
    inbox("2026/11/24/a b+c%/é.gz", gzip.compress(ndjson(event(i) for i in range(100, 200))))
    inbox("2026/11/24/z.zst", zstandard.compress(ndjson(event(i) for i in range(200, 300))))
    inbox("2026/11/24/firehose", joined(event(i, text='}{ \\"}{"', deep={"a": [{}]}) for i in range(300, 400)))
    inbox("2026/11/24/firehose.gz", gzip.compress(joined(event(i) for i in range(400, 450)) + b"\n" + ndjson(event(i) for i in range(450, 500))))
    inbox("2026/11/24/two-members.gz", gzip.compress(joined([event(500)])) + gzip.compress(joined([event(501)])))
    inbox("2026/11/24/empty", b"")
    inbox("2026/11/24/folder/", b"")
    inbox("2026/12/other", ndjson([event(9999)]))
    load = lambda uri: json.loads(lake.load(uri, "--json", env=inbox.env).stdout)
    report = load(inbox.uri + "/2026/11/")
    got = uuids(lake)
    assert set(got) == {f"u{i:06}" for i in range(502)} and max(got.values()) == 1
    assert report["dead_letters"] == 0 and report["records"] == 502
    again = load(inbox.uri + "/2026/11/")
    assert (again["rows_committed"], again["already_loaded"]) == (0, 6)
    inbox("2026/11/24/plain", ndjson(event(i) for i in range(50, 150)))  # written anew: another object, read again
    inbox("2026/11/24/late", ndjson([event(600)]))
    assert load(inbox.uri + "/2026/11/")["rows_committed"] == 1  # what it holds is there already
    assert load(inbox.uri + "/2026/12/other")["rows_committed"] == 1
    assert set(uuids(lake)) == {f"u{i:06}" for i in [*range(502), 600, 9999]}
    rows = {r["event_uuid"]: r for t in lake.tables() for r in lake.rows(t) if r.get("event_uuid")}
    assert rows["u000300"]["text"] == '}{ \\"}{"'


def test_objects_are_known_by_inlet_loads(lake, inbox):
    """As files are, when leases and positions are gone; they once came again."""
    events = [event(i) for i in range(40)]
    inbox("a", ndjson(events[:30]))
    inbox("b.gz", gzip.compress(ndjson(events[30:])))
    load = lambda: json.loads(lake.load(inbox.uri, "--json", "--dedup-window", "0s", env=inbox.env).stdout)
    assert load()["rows_committed"] == 40
    forget(lake, positions=True)
    assert load()["rows_committed"] == 0
    assert uuids(lake) == Counter(e["event_uuid"] for e in events)


def test_an_object_below_two_uris_is_one(lake, inbox):
    inbox("logs/a", ndjson([event(1)]) + b"{}\n")
    inbox("logs/b", ndjson([event(2)]))
    r = lake.load(inbox.uri + "/logs/", inbox.uri + "/logs/a", "--json", env=inbox.env)
    assert json.loads(r.stdout)["records"] == 3 and len(lake.rows("inlet_dead_letters")) == 1


def test_an_exact_key_means_that_object(lake, inbox):
    inbox("logs/a", ndjson([event(1)]))
    inbox("logs/ab", ndjson([event(2)]))
    lake.load(inbox.uri + "/logs/a", env=inbox.env)
    assert set(uuids(lake)) == {"u000001"}
    r = lake.load(inbox.uri + "/nothing", env=inbox.env, check=False)
    assert r.returncode == 1 and b"no object below" in r.stderr
    r = lake.load("s3://no-such-bucket-at-all/x", env=inbox.env, check=False)
    assert r.returncode == 1 and b"NoSuchBucket" in r.stderr


@pytest.mark.long
def test_ten_thousand_objects(lake, fake):
    """A page of the listing holds a thousand; each object has a lease of its own, and none waits for the disk."""
    line = lambda i: json.dumps(event(i)).encode() + b"\n"
    objects = {f"in/{i // 100:03}/{i:06}": i for i in range(10000)}
    keys, pages = sorted(objects), []

    def listing(q):
        after = q.get("continuation-token", "")
        page = [k for k in keys if k.startswith(q["prefix"]) and k > after][:1000]
        pages.append(len(page))
        more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{page[-1]}</NextContinuationToken>" if page[-1] != keys[-1] else ""
        return "<ListBucketResult>" + "".join(
            f"<Contents><Key>{k}</Key><ETag>&quot;e{objects[k]}&quot;</ETag><Size>{len(line(objects[k]))}</Size>"
            f"<LastModified>2026-11-24T00:00:00.000Z</LastModified></Contents>" for k in page) + more + "</ListBucketResult>"

    def answer(r):
        url = urlsplit(r.path)
        q = {k: v[0] for k, v in parse_qs(url.query).items()}
        if "list-type" in q:
            return 200, {}, listing(q)
        i = objects[url.path.split("/", 2)[2]]
        return 206, {"ETag": f'"e{i}"', "Content-Range": f"bytes 0-{len(line(i)) - 1}/{len(line(i))}"}, line(i)
    env = {**PLAIN, "AWS_ENDPOINT_URL": fake(answer).url, "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    load = lambda: json.loads(lake.load("s3://bucket/in/", "--json", env=env).stdout)
    assert load()["rows_committed"] == 10000 and pages == [1000] * 10
    assert sorted(r["n"] for r in lake.duckdb("click", "n")) == list(range(10000))
    assert load()["already_loaded"] == 10000


def test_joined_objects_far_beyond_a_batch(lake, inbox, tmp_path):
    """Ten megabytes without a newline, with what is broken in its middle, from S3 and from a file."""
    pad = "p" * 700
    text = joined(event(i, pad=pad) for i in range(8000)) + b'{"broken":tru}' + joined(event(i, pad=pad) for i in range(8000, 12000))
    inbox("big", text)
    report = json.loads(lake.load(inbox.uri + "/big", "--json", env=inbox.env).stdout)
    got = uuids(lake)
    assert len(text) > 9e6 and set(got) == {f"u{i:06}" for i in range(12000)} and max(got.values()) == 1
    assert report["dead_letters"] == 1
    f = tmp_path / "big"
    f.write_bytes(text)
    other = Lake(tmp_path / "other")
    assert json.loads(other.load(f, "--json").stdout)["rows_committed"] == 12001  # the broken one too


def test_a_load_from_s3_is_resumed(lake, inbox, faults):
    events = [event(i, pad="p" * 300) for i in range(30000)]
    for n in range(3):
        inbox(f"in/plain{n}", ndjson(events[n * 6000:(n + 1) * 6000]))
    inbox("in/joined", joined(events[18000:24000]))
    inbox("in/z.gz", gzip.compress(joined(events[24000:])))
    command = [INLET, "load", inbox.uri + "/in/", "--lake", str(lake.path), "--commit-interval", "100ms", "--commit-bytes", "64KB",
               "--quiet"]
    faults.add({"fault": "delay", "seconds": 0.05, "method": "GET"})  # so that what was read first is committed meanwhile
    killed = sum(faults.kill_after(n, command, {**inbox.env, "AWS_ENDPOINT_URL": faults.url}) for n in (1, 3, 5, 4, 6, 2))
    committed = len(uuids(lake)) if lake.path.joinpath("catalog.db").exists() else 0
    lake.load(inbox.uri + "/in/", env=inbox.env)
    got = uuids(lake)
    assert len(got) == 30000 and max(got.values()) == 1 and killed > 2, (killed, committed)


def test_an_object_replaced_while_it_is_read(lake, inbox, faults):
    big = ndjson(event(i, pad="p" * 900) for i in range(6000))
    uri = inbox("x", big)
    faults.add({"fault": "delay", "seconds": 1, "path": "/x$", "method": "GET", "skip": 1, "times": 1})
    p = subprocess.Popen([INLET, "load", uri, "--lake", str(lake.path)], stderr=subprocess.PIPE,
                         env={**PLAIN, **inbox.env, "AWS_ENDPOINT_URL": faults.url})
    deadline = time.monotonic() + 30
    while sum(r["seen"] for r in faults.rules()) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    inbox("x", big[::-1])
    err = p.communicate(timeout=60)[1]
    assert p.returncode == 1 and b"was replaced while it was read" in err
