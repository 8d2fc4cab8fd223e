"""The catalog over Iceberg's REST protocol: against a stand-in of our own (over PyIceberg's reading of commits),
or, with INLET_TEST_REST=URI (make test-rest), against Iceberg's own server."""
import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request

import model
import pytest
from conftest import INLET, Faults, Lake, killed_at_random, ndjson, run, sent_once, start_standin
from test_run import make

REAL = os.environ.get("INLET_TEST_REST")
fake_only = pytest.mark.skipif(bool(REAL), reason="what only the stand-in can be told")


class RestLake(Lake):
    def __init__(self, path, uri, ns, env=None, **properties):
        super().__init__(path)
        self.uri, self.ns, self.env, self.properties = uri, ns, env or {}, properties

    def arguments(self, uri=None):
        return ["--lake", str(self.path), "--catalog", "rest+" + (uri or self.uri), "--namespace", self.ns]

    def load(self, *args, stdin=None, check=True, uri=None, env=None, **kw):
        return run("load", *args, *self.arguments(uri), stdin=stdin, check=check, env={**self.env, **(env or {})}, **kw)

    def catalog(self):
        from pyiceberg.catalog.rest import RestCatalog
        return RestCatalog("rest", uri=self.uri, **self.properties)

    def tables(self):
        return sorted(t[-1] for t in self.catalog().list_tables(self.ns))

    def pyiceberg(self, table):
        return self.catalog().load_table((*self.ns.split("."), table))


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    if REAL:
        yield REAL
        return
    warehouse = tmp_path_factory.mktemp("warehouse")
    proc, port = start_standin("rest.py", lambda port: ["--port", port, "--warehouse", warehouse, "--prefix", "a%2Fb"])
    yield f"http://127.0.0.1:{port}"
    proc.terminate()
    proc.wait()


@pytest.fixture
def rest(server, tmp_path, request):
    return RestLake(tmp_path / "lake", server, re.sub("[^a-z0-9]+", "_", f"{request.node.name.lower()}_{os.getpid()}"))


@pytest.fixture(scope="session")
def rest_proxy(server):
    f = Faults(server)
    yield f
    f.close()


@pytest.fixture
def rest_faults(rest_proxy):
    rest_proxy.clear()
    yield rest_proxy
    rest_proxy.clear()


def event(i, name="order:new", **fields):
    return {"event_uuid": f"u{i}", "event_name": name, "created_at": 1763971200 + i, **fields}


def file_of(tmp_path, events, name="e.ndjson"):
    path = tmp_path / name
    path.write_bytes(ndjson(events))
    return path


def ids(rows):
    return sorted(r["event_uuid"] for r in rows)


def test_pyiceberg_sees_the_same_tables(rest, tmp_path):
    events = make(400)
    rest.load(file_of(tmp_path, events))
    model.check(rest, events)
    table = rest.pyiceberg("order")
    assert table.metadata.format_version == 2
    assert [f.name for f in table.spec().fields] == ["event_time_day"]
    assert len(table.sort_order().fields) == 2
    assert table.current_snapshot().summary["engine-name"] == "inlet"
    rest.load(file_of(tmp_path, events))  # again: adds nothing
    more = make(50, later={"x": [1, 2]})
    rest.load(file_of(tmp_path, more, "more.ndjson"))
    model.check(rest, events + more)
    r = run("tables", *rest.arguments(), "--json")
    assert {t["table"]: t["rows"] for t in json.loads(r.stdout)}["order"] == 450


def test_a_namespace_of_two_levels(rest, tmp_path):
    rest.ns += ".inner"
    rest.load(file_of(tmp_path, [event(1)]))
    assert ids(rest.rows("order")) == ["u1"]


def test_others_commit_beside_us(rest, tmp_path):
    import pyarrow as pa
    from pyiceberg.types import LongType
    rest.load(file_of(tmp_path, [event(1, a=1, b="x")]))
    table = rest.pyiceberg("order")
    row = dict(rest.rows("order")[0], event_uuid="theirs")
    table.append(pa.Table.from_pylist([row], schema=table.schema().as_arrow()))
    with table.update_schema() as u:
        u.rename_column("a", "amount")
        u.add_column("checked", LongType())
    rest.load(file_of(tmp_path, [event(2, a=2, b="y", c=True)], "f.ndjson"))
    rows = {r["event_uuid"]: r for r in rest.rows("order")}
    assert sorted(rows) == ["theirs", "u1", "u2"]
    assert rows["u2"]["amount"] == 2 and rows["u2"]["c"] is True and rows["u2"]["checked"] is None
    assert "a" not in rows["u2"]


def test_answers_lost(rest, rest_faults, tmp_path):
    rest_faults.add({"fault": "lost", "method": "POST", "path": "/tables", "share": 0.2, "seed": 1},
                    {"fault": "after", "status": 500, "method": "POST", "path": "/tables", "share": 0.1, "seed": 2},
                    {"fault": "after", "status": 504, "method": "POST", "path": "/tables", "share": 0.05, "seed": 7},
                    {"fault": "reset", "path": "/tables", "share": 0.05, "seed": 3},
                    {"fault": "status", "status": 503, "path": "/tables", "share": 0.05, "seed": 4},
                    {"fault": "truncate", "method": "POST", "path": "/tables/", "share": 0.05, "seed": 5})
    events = []
    for i in range(0, 250, 50):
        part = make(50, **{f"column_{i}": i})  # each load changes the schema too
        events += part
        path = file_of(tmp_path, part, f"{i}.ndjson")
        for _ in range(10):
            p = rest.load(path, check=False, uri=rest_faults.url)
            assert b"somebody" not in p.stderr, p.stderr
            if p.returncode == 0:
                break
        assert p.returncode == 0, p.stderr
    struck = [x["struck"] for x in rest_faults.rules()]
    assert sum(struck) > 5 and struck[0] and struck[1], struck
    model.check(rest, events)


@pytest.mark.long
def test_killed(rest, tmp_path):
    path = tmp_path / "events.ndjson"
    path.write_bytes(run("gen", "--events", "200000", "--types", "6", "--seed", "3", "--start", "2026-11-20T00:00:00Z",
                         "--malformed", "0").stdout)
    sent = {json.loads(line)["event_uuid"] for line in path.read_bytes().splitlines()}
    kills = killed_at_random("load", path, *rest.arguments(), "--commit-interval", "100ms", times=12,
                             pause=lambda r: 0.02 + r * 0.15, env=rest.env)
    rest.load(path)
    sent_once(rest, sent)
    assert kills > 1


def wait_for(what, seconds=30):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        got = what()
        if got:
            return got
        time.sleep(0.05)
    raise AssertionError("it did not come")


def test_a_takeover_moves_what_is_asserted(rest, tmp_path):
    """Only the parent snapshot is asserted: who was killed, or is frozen in the middle of a commit of dead letters, has to be
    refused once another took over, though that one has nothing to write."""
    path = file_of(tmp_path, [event(1), {"event_name": "none"}])
    p = subprocess.Popen([INLET, "load", "--follow", path, *rest.arguments(), "--commit-interval", "100ms"], stderr=subprocess.DEVNULL)
    before = wait_for(lambda: "inlet_dead_letters" in (rest.tables() if (rest.ns,) in rest.catalog().list_namespaces() else [])
                      and rest.pyiceberg("inlet_dead_letters").current_snapshot())
    time.sleep(0.5)
    p.kill()
    p.wait()
    r = rest.load(path, "--json")
    assert json.loads(r.stdout)["rows_committed"] == 0, "nothing new is in the file"
    letters = rest.pyiceberg("inlet_dead_letters")
    assert "inlet.takeover" in letters.properties and len(rest.rows("inlet_dead_letters")) == 1
    late = {"requirements": [{"type": "assert-table-uuid", "uuid": str(letters.metadata.table_uuid)},
                             {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": before.snapshot_id}],
            "updates": [{"action": "set-properties", "updates": {"zombie": "was here"}}]}
    prefix = "" if REAL else "a%2Fb/"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(f"{rest.uri}/v1/{prefix}namespaces/{rest.ns}/tables/inlet_dead_letters",
                                                      data=json.dumps(late).encode(), headers={"Content-Type": "application/json"}))
    assert refused.value.code == 409


@pytest.mark.skipif(not REAL, reason="the stand-in has no views")
def test_a_view_of_that_name(rest, tmp_path):
    rest.load(file_of(tmp_path, [event(1, "click")]))
    view = {"name": "order", "schema": {"type": "struct", "schema-id": 0, "fields": []}, "properties": {},
            "view-version": {"version-id": 1, "timestamp-ms": 1, "schema-id": 0, "summary": {}, "default-namespace": [rest.ns],
                             "representations": [{"type": "sql", "sql": "SELECT 1", "dialect": "spark"}]}}
    urllib.request.urlopen(urllib.request.Request(f"{rest.uri}/v1/namespaces/{rest.ns}/views", data=json.dumps(view).encode(),
                                                  headers={"Content-Type": "application/json"}, method="POST"))
    r = rest.load(file_of(tmp_path, [event(2)], "f.ndjson"), check=False)
    assert r.returncode == 0 or b"is a view" in r.stderr, r.stderr


def test_not_a_catalog(rest, tmp_path):
    r = rest.load(file_of(tmp_path, [event(1)]), check=False, uri=rest.uri + "/nothing/here")
    assert r.returncode == 1 and b"REST catalog" in r.stderr, r.stderr


@fake_only
def test_client_credentials_and_their_renewal(tmp_path):
    proc, port = start_standin("rest.py", lambda port: ["--port", port, "--warehouse", tmp_path / "w", "--credential", "me:s3cr3t&=",
                                                        "--token-uses", 7])
    try:
        uri = f"http://127.0.0.1:{port}"
        lake = RestLake(tmp_path / "lake", uri, "events", env={"INLET_CATALOG_CREDENTIAL": "me:s3cr3t&="}, credential="me:s3cr3t&=")
        events = [event(i, f"t{i % 5}") for i in range(50)]
        lake.load(file_of(tmp_path, events))
        wrong = lake.load(file_of(tmp_path, events, "f"), check=False, env={"INLET_CATALOG_CREDENTIAL": "me:wr0ng"})
        assert wrong.returncode == 1 and b"INLET_CATALOG_CREDENTIAL" in wrong.stderr and b"wr0ng" not in wrong.stderr
        none = lake.load(file_of(tmp_path, events, "f"), check=False, env={"INLET_CATALOG_CREDENTIAL": ""})
        assert none.returncode != 0
        shown = run("config", *lake.arguments(), env=lake.env).stdout
        assert b"catalog_credential" in shown and b"s3cr3t" not in shown
    finally:
        proc.terminate()
        proc.wait()


def field_ids(schema):
    return {schema.find_column_name(i): i for i in schema._lazy_id_to_name}


@fake_only
def test_field_ids_of_the_servers_own(tmp_path):
    """Given at the creation, of ours too, and for each column that a commit adds: they are what the files are written with."""
    import pyarrow.parquet as pq
    proc, port = start_standin("rest.py", lambda port: ["--port", port, "--warehouse", tmp_path / "w", "--first-id", 4, "--spread", 3])
    try:
        lake = RestLake(tmp_path / "lake", f"http://127.0.0.1:{port}", "events")
        events = make(60, items=[{"a": 1}, {"b": "x"}])
        config = tmp_path / "config.yaml"
        config.write_text("tables: {order: {partition_by: [event_subtype, hour(event_time)]}}\n")
        lake.load(file_of(tmp_path, events), "--config", config)
        assert field_ids(lake.pyiceberg("order").schema())["event_uuid"] == 4
        more = make(60, items=[{"c": {"d": 2.5}}], later=True, made={"x": [1], "y": {"z": "w"}})
        bad = [{"event_name": "order:new", "n": i} for i in range(7)]
        lake.load(file_of(tmp_path, more + bad, "f"))
        again = lake.load(file_of(tmp_path, [dict(e, more=1) for e in more], "g"), "--json")
        assert json.loads(again.stdout)["duplicates"] == 60, "the window is read back by the server's ids"
        model.check(lake, events + more)
        table = lake.pyiceberg("order")
        ids = field_ids(table.schema())
        assert ids["made.y.z"] > 3 * len(ids) - 9, ids
        for task in table.scan().plan_files():
            fields = pq.ParquetFile(task.file.file_path.removeprefix("file://")).schema_arrow
            assert {f.name: int(f.metadata[b"PARQUET:field_id"]) for f in fields}.items() <= ids.items()
            assert task.file.lower_bounds[ids["event_uuid"]] and task.file.partition[0] == "placed"
        assert len(lake.rows("inlet_dead_letters")) == 7 and len(lake.rows("inlet_loads")) == 3
        assert lake.load(tmp_path / "f", "--json").stdout and len(lake.rows("inlet_loads")) == 3, "loaded already"
        run("verify", *lake.arguments())
        assert json.loads(run("replay", *lake.arguments(), "--reason", "all", "--json").stdout)["still_dead"] == 7
    finally:
        proc.terminate()
        proc.wait()


@fake_only
def test_signed_requests(tmp_path):
    """As Glue's and S3 Tables' endpoints want them; botocore computes what the signature has to be."""
    proc, port = start_standin("rest.py", lambda port: ["--port", port, "--warehouse", tmp_path / "w", "--sign", "s3tables",
                                                        "--prefix", "arn%3Aaws%3As3tables%3Aeu-west-1%3A123456789012%3Abucket%2Fb"])
    aws = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-west-1"}
    try:
        uri = f"http://127.0.0.1:{port}"
        arguments = ["--lake", tmp_path / "lake", "--catalog", f"rest+{uri}", "--catalog-sign", "s3tables", "--catalog-warehouse",
                     "arn:aws:s3tables:eu-west-1:123456789012:bucket/b"]
        run("load", file_of(tmp_path, [event(1), event(2, "click")]), *arguments, env=aws)
        shown = json.loads(run("tables", *arguments, "--json", env=aws).stdout)
        assert {t["table"]: t["rows"] for t in shown if not t["table"].startswith("inlet_")} == {"order": 1, "click": 1}
        r = run("tables", *arguments, env={**aws, "AWS_SECRET_ACCESS_KEY": "wr0ng"}, check=False)
        assert r.returncode == 1 and b"SignatureDoesNotMatch" in r.stderr and b"wr0ng" not in r.stderr
    finally:
        proc.terminate()
        proc.wait()


@fake_only
def test_keys_that_the_catalog_gives(aws, tmp_path):
    """No lake and no AWS keys of our own: the catalog places the tables in S3 and gives keys for each, renewed in time."""
    client, env = aws
    client("s3").create_bucket(Bucket="vended", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    proxy = Faults(env["AWS_ENDPOINT_URL"])
    proc, port = start_standin("rest.py", lambda port: ["--port", port, "--warehouse", "s3://vended/w", "--s3", proxy.url, "--vend", 290])
    front = Faults(f"http://127.0.0.1:{port}")
    try:
        arguments = ["--catalog", f"rest+{front.url}", "--leases", f"sqlite:{tmp_path}/leases.db"]
        none = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
        events = make(40)
        run("load", file_of(tmp_path, events), *arguments, env=none)
        keys = {re.search("Credential=([^/]*)/", e["authorization"])[1] for e in proxy.log() if "/data/" in e["path"]}
        assert keys == {"vended"}, keys
        # They are good for less than five minutes: each commit asks for new ones first.
        asked = [e for e in front.log() if e["method"] == "GET" and e["path"].endswith("/tables/order") and e["status"] == 200]
        assert len(asked) >= 2
        shown = {t["table"]: t["rows"] for t in json.loads(run("tables", *arguments[:2], "--json", env=none).stdout)}
        assert shown["order"] == 40
        r = run("load", file_of(tmp_path, events), "--catalog", f"rest+{front.url}", env=none, check=False)
        assert r.returncode != 0 and b"--leases" in r.stderr  # nowhere to keep them beside
    finally:
        for p in (front, proxy):
            p.close()
        proc.terminate()
        proc.wait()
