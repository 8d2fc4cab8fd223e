"""The catalog in Glue (moto, its gaps closed): PyIceberg's GlueCatalog beside us, what others put there,
answers that are lost, and tables that are none of ours."""
import json
import os
import re

import model
import pytest
from conftest import Lake, killed_at_random, ndjson, run, sent_once
from test_run import make


class GlueLake(Lake):
    def __init__(self, path, env, database):
        super().__init__(path)
        self.env, self.database = env, database

    def load(self, *args, stdin=None, check=True, env=None, **kw):
        return run("load", *args, "--lake", str(self.path), "--catalog", f"glue://{self.database}", stdin=stdin,
                   check=check, env={**self.env, **(env or {})}, **kw)

    def catalog(self):
        from pyiceberg.catalog.glue import GlueCatalog
        e = self.env
        return GlueCatalog("glue", **{"glue.endpoint": e["AWS_ENDPOINT_URL"], "glue.region": e["AWS_REGION"],
                                      "glue.access-key-id": "test", "glue.secret-access-key": "test"})

    def tables(self):
        return sorted(t[1] for t in self.catalog().list_tables(self.database))

    def pyiceberg(self, table):
        return self.catalog().load_table((self.database, table))


@pytest.fixture
def glue(aws, tmp_path, request):
    client, env = aws
    lake = GlueLake(tmp_path / "lake", env, re.sub("[^a-z0-9]+", "_", f"db_{request.node.name.lower()[-40:]}_{os.getpid()}"))
    lake.client = client("glue")
    return lake


def event(i, name="order:new", **fields):
    return {"event_uuid": f"u{i}", "event_name": name, "created_at": 1763971200 + i, **fields}


def file_of(tmp_path, events, name="e.ndjson"):
    path = tmp_path / name
    path.write_bytes(ndjson(events))
    return path


def test_pyiceberg_sees_the_same_tables(glue, tmp_path):
    events = make(400)
    glue.load(file_of(tmp_path, events))
    model.check(glue, events)
    got = glue.client.get_table(DatabaseName=glue.database, Name="order")["Table"]
    assert got["TableType"] == "EXTERNAL_TABLE" and got["Parameters"]["table_type"] == "ICEBERG"
    assert got["Parameters"]["metadata_location"] == glue.pyiceberg("order").metadata_location
    columns = {c["Name"]: c for c in got["StorageDescriptor"]["Columns"]}
    from pyiceberg.catalog.glue import _to_columns
    theirs = {c["Name"]: c for c in _to_columns(glue.pyiceberg("order").metadata)}
    assert {n: (c["Type"], c["Parameters"]) for n, c in columns.items()} == \
        {n: (c["Type"], c["Parameters"]) for n, c in theirs.items()}
    assert columns["event_time"]["Type"] == "timestamp"
    versions = glue.client.get_table_versions(DatabaseName=glue.database, TableName="order")["TableVersions"]
    assert len(versions) == 1, "archived versions are skipped"


def test_what_others_put_there_stays(glue, tmp_path):
    glue.load(file_of(tmp_path, [event(1, a=1)]))
    got = glue.client.get_table(DatabaseName=glue.database, Name="order")["Table"]
    keep = {k: got[k] for k in ("Name", "TableType", "Parameters", "StorageDescriptor")}
    keep["Description"], keep["Owner"] = "orders of the shop", "data-team"
    keep["Parameters"] = {**keep["Parameters"], "classification": "pii", "table_type": "iceberg"}
    for c in keep["StorageDescriptor"]["Columns"]:
        if c["Name"] == "a":
            c["Comment"] = "how many"
            c["Parameters"]["pii"] = "no"
    glue.client.update_table(DatabaseName=glue.database, TableInput=keep)
    glue.load(file_of(tmp_path, [event(2, a=2, b={"c": [1.5]})], "f.ndjson"))
    got = glue.client.get_table(DatabaseName=glue.database, Name="order")["Table"]
    assert got["Description"] == "orders of the shop" and got["Owner"] == "data-team"
    assert got["Parameters"]["classification"] == "pii"
    columns = {c["Name"]: c for c in got["StorageDescriptor"]["Columns"]}
    assert columns["a"]["Comment"] == "how many" and columns["a"]["Parameters"]["pii"] == "no"
    assert columns["b"]["Type"] == "struct<c:array<double>>"
    assert {r["event_uuid"] for r in glue.rows("order")} == {"u1", "u2"}


def test_pyiceberg_commits_beside_us(glue, tmp_path):
    import pyarrow as pa
    glue.load(file_of(tmp_path, [event(1, a=1)]))
    table = glue.pyiceberg("order")
    row = dict(glue.rows("order")[0], event_uuid="theirs")
    table.append(pa.Table.from_pylist([row], schema=table.schema().as_arrow()))
    glue.load(file_of(tmp_path, [event(2, a=2)], "f.ndjson"))
    assert {r["event_uuid"] for r in glue.rows("order")} == {"u1", "u2", "theirs"}
    theirs = glue.client.get_table(DatabaseName=glue.database, Name="order")["Table"]["Parameters"]
    assert theirs["previous_metadata_location"] == table.metadata_location


@pytest.mark.parametrize("what", ["view", "hive", "lost parameters", "v1", "v3", "missing metadata", "cut metadata"])
def test_tables_that_are_none_of_ours(glue, tmp_path, what):
    """Refused with the reason, and its events kept whole in the dead letters; the others go on."""
    glue.load(file_of(tmp_path, [event(1)]))
    got = glue.client.get_table(DatabaseName=glue.database, Name="order")["Table"]
    t = {k: got[k] for k in ("Name", "TableType", "Parameters", "StorageDescriptor")}
    metadata = got["Parameters"]["metadata_location"].removeprefix("file://")
    word = {"view": b"view", "hive": b"Hive", "lost parameters": b"metadata_location", "v1": b"version 1", "v3": b"version 3",
            "missing metadata": b"missing", "cut metadata": b"cannot be read"}[what]
    if what == "view":
        t["TableType"] = "VIRTUAL_VIEW"
    elif what == "hive":
        t["Parameters"] = {}
    elif what == "lost parameters":
        del t["Parameters"]["metadata_location"]
    elif what in ("v1", "v3"):
        text = json.loads(open(metadata).read())
        text["format-version"] = int(what[1])
        open(metadata, "w").write(json.dumps(text))
    elif what == "missing metadata":
        os.unlink(metadata)
    else:
        text = open(metadata).read()
        open(metadata, "w").write(text[:len(text) // 2])
    glue.client.update_table(DatabaseName=glue.database, TableInput=t)
    r = run("schema", "order", "--lake", glue.path, "--catalog", f"glue://{glue.database}", env=glue.env, check=False)
    assert r.returncode == 1 and word in r.stderr, r.stderr
    before = glue.client.get_table(DatabaseName=glue.database, Name="order")["Table"]["Parameters"]
    r = glue.load(file_of(tmp_path, [event(2), event(3, "click")], "f.ndjson"), check=False)
    assert glue.client.get_table(DatabaseName=glue.database, Name="order")["Table"]["Parameters"] == before
    if r.returncode == 0:
        letters = glue.rows("inlet_dead_letters")
        assert [json.loads(x["payload"])["event_uuid"] for x in letters] == ["u2"]
        assert letters[0]["reason"] == "table_unavailable"
        assert [x["event_uuid"] for x in glue.rows("click")] == ["u3"]
    else:
        assert word in r.stderr, r.stderr


def test_denied_actions_are_named(glue, faults, tmp_path):
    faults.add({"fault": "status", "status": 400, "code": "AccessDeniedException", "target": "GetTables?$"})
    r = glue.load(file_of(tmp_path, [event(1)]), check=False, env={"AWS_ENDPOINT_URL": faults.url})
    assert r.returncode == 1 and b"glue:GetTable" in r.stderr, r.stderr


@pytest.mark.long
def test_answers_lost(glue, faults, tmp_path):
    """Of every kind of write and read, before and after the service acted: each event is there once."""
    faults.add({"fault": "lost", "target": "UpdateTable|CreateTable|CreateDatabase", "share": 0.3, "seed": 1},
               {"fault": "after", "status": 500, "target": "UpdateTable|CreateTable", "share": 0.2, "seed": 2},
               {"fault": "reset", "target": "Table", "share": 0.1, "seed": 3},
               {"fault": "status", "status": 500, "target": "GetTable", "share": 0.1, "seed": 4},
               {"fault": "status", "status": 400, "code": "ThrottlingException", "target": "Table", "share": 0.1, "seed": 6})
    events = make(250)
    for i in range(0, 250, 50):
        part = [dict(e, **{f"column_{i}": i}) for e in events[i:i + 50]]  # each load changes the schema too
        events[i:i + 50] = part
        path = file_of(tmp_path, part, f"{i}.ndjson")
        for _ in range(10):
            p = glue.load(path, check=False, env={"AWS_ENDPOINT_URL": faults.url})
            assert b"somebody" not in p.stderr, p.stderr
            if p.returncode == 0:
                break
        assert p.returncode == 0, p.stderr
    struck = {x["fault"] + x["target"]: x["struck"] for x in faults.rules()}
    assert all(struck.values()), struck
    model.check(glue, events)


@pytest.mark.long
def test_killed(glue, tmp_path):
    """kill -9 at random moments, commits in flight, and loaded again: each event is there once."""
    path = tmp_path / "events.ndjson"
    path.write_bytes(run("gen", "--events", "200000", "--types", "6", "--seed", "3", "--start", "2026-11-20T00:00:00Z",
                         "--malformed", "0").stdout)
    sent = {json.loads(line)["event_uuid"] for line in path.read_bytes().splitlines()}
    kills = killed_at_random("load", path, "--lake", glue.path, "--catalog", f"glue://{glue.database}", "--commit-interval", "100ms",
                             times=12, pause=lambda r: 0.02 + r * 0.15, env=glue.env)
    glue.load(path)
    sent_once(glue, sent)
    assert kills > 1
