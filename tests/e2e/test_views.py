"""inlet views: each engine's SQL is run, by DuckDB over the tables' rows; Athena's view in Glue is decoded."""
import base64
import json
import re

import duckdb
import pytest
from conftest import extension, ndjson, run

EVENTS = [{"event_uuid": "a", "event_name": "order:new", "created_at": 1763971200.5, "user_id": 7, "n": 1},
          {"event_uuid": "b", "event_name": "click", "created_at": 1763971201, "user_id": 8, "price": 1.5},
          {"event_uuid": "c", "event_name": "login:ok", "created_at": 1763971202, "user_id": "seven", "n": 2},
          {"event_uuid": "d", "event_name": "plain", "created_at": 1763971203, "obj": {"a": 1}}]


@pytest.fixture
def loaded(lake, tmp_path):
    (tmp_path / "e").write_bytes(ndjson(EVENTS))
    lake.load(tmp_path / "e")
    return lake


def sql(lake, engine, *more):
    return run("views", "--lake", lake.path, "--for", engine, *more).stdout.decode()


def connection(lake):
    con = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    for name in ("avro", "iceberg"):
        con.execute(f"LOAD '{extension(name)}'")
    con.execute("SET TimeZone = 'UTC'; CREATE SCHEMA events")
    for t in lake.tables():
        if not t.startswith("inlet_"):
            con.execute(f'CREATE VIEW events."{t}" AS SELECT * FROM iceberg_scan(\'{lake.pyiceberg(t).metadata_location}\')')
    return con


def test_duckdb(loaded):
    con = connection(loaded)
    con.execute(sql(loaded, "duckdb", "--name", "everything", "--with", "user_id,n"))
    rows = con.execute("SELECT event_uuid, event_type, event_subtype, user_id, n, event_time::VARCHAR, created_at FROM everything "
                       "ORDER BY event_uuid").fetchall()
    assert [r[:5] for r in rows] == [("a", "order", "new", "7", 1), ("b", "click", None, "8", None),
                                     ("c", "login", "ok", "seven", 2), ("d", "plain", None, None, None)]
    assert rows[0][5] == "2025-11-24 08:00:00.5+00" and rows[0][6] == 1763971200.5
    before = con.execute("SELECT count(*) FROM everything").fetchone()[0]
    loaded.load("-", stdin=ndjson([dict(EVENTS[0], event_uuid="e")]))  # the view goes on with the table
    assert con.execute("SELECT count(*) FROM everything").fetchone()[0] == before + 1


@pytest.mark.parametrize("engine", ["athena", "trino", "spark"])
def test_other_engines(loaded, engine):
    con = connection(loaded)
    text = sql(loaded, engine, "--with", "user_id,price")
    con.execute(text.replace("`", '"'))  # Spark's quotes; all else is as it is
    name = "all_events" if engine == "spark" else "events.all_events"
    rows = con.execute(f"SELECT event_uuid, user_id, price, created_datetime FROM {name} ORDER BY event_uuid").fetchall()
    assert [r[:3] for r in rows] == [("a", "7", None), ("b", "8", 1.5), ("c", "seven", None), ("d", None, None)]
    types = dict(con.execute(f"SELECT column_name, column_type FROM (DESCRIBE {name})").fetchall())
    assert types["event_time"] == ("TIMESTAMP" if engine == "athena" else "TIMESTAMP WITH TIME ZONE")
    assert ("event_date" in types) == (engine == "athena")
    assert ("WITH TIME ZONE" in text) == False or engine == "trino"


def test_mistakes(loaded, tmp_path):
    r = run("views", "--lake", loaded.path, "--with", "nobody", check=False)
    assert r.returncode == 1 and b"no table has such a column" in r.stderr
    r = run("views", "--lake", loaded.path, "--with", "obj", check=False)
    assert r.returncode == 1 and b"struct" in r.stderr
    r = run("views", "--lake", loaded.path, "--for", "athena", "--apply", check=False)
    assert r.returncode == 1 and b"glue://" in r.stderr
    r = run("views", "--lake", loaded.path, "--for", "oracle", check=False)
    assert r.returncode == 2 and b"athena|duckdb|spark|trino" in r.stderr


def test_applied_in_glue(aws, tmp_path):
    client, env = aws
    glue = client("glue")
    (tmp_path / "e").write_bytes(ndjson(EVENTS))
    where = ["--lake", tmp_path / "lake", "--catalog", "glue://views_db"]
    run("load", tmp_path / "e", *where, env=env)
    for more in ([], ["--with", "n"]):  # made, and replaced
        run("views", *where, "--for", "athena", "--apply", *more, env=env)
        got = glue.get_table(DatabaseName="views_db", Name="all_events")["Table"]
        assert got["TableType"] == "VIRTUAL_VIEW" and got["Parameters"]["presto_view"] == "true"
        assert got["ViewExpandedText"] == "/* Presto View */"
        presto = json.loads(base64.b64decode(re.fullmatch(r"/\* Presto View: (.*) \*/", got["ViewOriginalText"])[1]))
        assert presto["catalog"] == "awsdatacatalog" and presto["schema"] == "views_db"
        names = [c["Name"] for c in got["StorageDescriptor"]["Columns"]]
        assert names == [c["name"] for c in presto["columns"]] and ("n" in names) == bool(more)
        assert {c["name"]: c["type"] for c in presto["columns"]}["event_time"] == "timestamp(6)"
        assert 'FROM "views_db"."order"' in presto["originalSql"]
    # Loading goes on beside the view, and a table is not replaced by one.
    run("load", "-", *where, env=env, stdin=ndjson([dict(EVENTS[0], event_uuid="z")]))
    r = run("views", *where, "--for", "athena", "--apply", "--name", "order", env=env, check=False)
    assert r.returncode == 1 and b"is a table" in r.stderr
    listed = json.loads(run("tables", *where, "--json", env=env).stdout)
    assert "all_events" not in [t["table"] for t in listed]
