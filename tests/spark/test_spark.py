"""Spark reads the lake through the SQLite catalog, as Java's JdbcCatalog, and sees what the model says."""
import pathlib
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import cookbook  # noqa: E402
import expected  # noqa: E402
from conftest import Lake, ndjson, run  # noqa: E402
from nasty import Nasty  # noqa: E402
from readers import same_cell  # noqa: E402
from session import open_lake, spark  # noqa: E402,F401


def spark_type(t):
    from pyspark.sql.types import ArrayType, StructType
    if isinstance(t, StructType):
        return {f.name: spark_type(f.dataType) for f in t}
    if isinstance(t, ArrayType):
        return [spark_type(t.elementType)]
    return {"bigint": "long", "timestamp": "timestamptz"}.get(t.simpleString(), t.simpleString())


def plain(v):
    from pyspark.sql import Row
    if isinstance(v, Row):
        return {k: plain(x) for k, x in v.asDict().items()}
    return [plain(x) for x in v] if isinstance(v, list) else v


def read(session, table):
    from pyspark.sql import functions as F
    df = session.table(f"`default`.events.`{table}`")
    types = {f.name: spark_type(f.dataType) for f in df.schema}
    for f in df.schema:
        if f.dataType.simpleString() == "timestamp":
            df = df.withColumn(f.name, F.unix_micros(F.col(f"`{f.name}`")))
    return types, [plain(r) for r in df.collect()]


@pytest.mark.parametrize("seed", range(5))
def test_spark_sees_what_the_model_says(spark, tmp_path, seed):
    lake = Lake(tmp_path / "lake")
    data = b"\n".join(Nasty(seed).lines(250)) + b"\n"
    since = time.time() * 1e6 - 1
    lake.load("-", "--threads", "1", stdin=data)
    model = expected.Lake().load(data)
    session = open_lake(spark, lake)
    listed = {r.tableName for r in session.sql("SHOW TABLES IN `default`.events").collect()}
    assert listed == set(model.tables) | {"inlet_dead_letters"}
    for table in model.tables:
        types, rows = read(session, table)
        assert types == model.schema(table)
        by_uuid = {r["event_uuid"]: r for r in rows}
        assert len(by_uuid) == len(rows)
        want_rows = model.rows(table)
        assert by_uuid.keys() == want_rows.keys()
        for uuid, (cells, rescued) in want_rows.items():
            row = by_uuid[uuid]
            assert since <= row["_arrived_at"] <= time.time() * 1e6
            assert expected.DECODER.decode(row["_rescued"] or "{}") == rescued
            for name, want in cells.items():
                assert same_cell(row[name], want), (table, name, uuid, row[name], want)
        files = session.sql(f"SELECT sum(record_count) FROM `default`.events.`{table}`.files").collect()[0][0]
        assert files == len(rows)
    _, dead = read(session, "inlet_dead_letters")
    assert sorted((d["reason"], bytes(d["payload"])) for d in dead) == sorted(model.dead)


def test_spark_prunes_by_our_statistics_and_loses_nothing(spark, tmp_path):
    lake = Lake(tmp_path / "lake")
    data = b"\n".join(Nasty(77, keys=30).lines(600)) + b"\n"
    for part in range(3):  # several files and schemas
        lines = data.split(b"\n")[part * 200:part * 200 + 200]
        lake.load("-", "--threads", "1", stdin=b"\n".join(lines) + b"\n")
    session = open_lake(spark, lake)
    from pyspark.sql import functions as F
    asked = 0
    for table in lake.tables():
        df = session.table(f"`default`.events.`{table}`")
        rows = [plain(r) for r in df.collect()]
        asks, wants = [], []  # many predicates, one job: a union of counts
        for f in df.schema:
            kind, c = f.dataType.simpleString(), F.col(f"`{f.name}`")
            known = sorted((v for v in (r[f.name] for r in rows) if v is not None), key=lambda v: (v is True, str(v)) if kind == "boolean" else v) \
                if kind in ("bigint", "double", "string", "boolean") else []
            if known:
                middle = known[len(known) // 2]
                for predicate, want in ((c.isNull(), len(rows) - len(known)), (c == middle, sum(v == middle for v in known)),
                                        (c >= middle, sum(v >= middle for v in known))):
                    asks.append(df.filter(predicate).agg(F.count("*").alias("n"), F.lit(len(asks)).alias("i")))
                    wants.append(want)
        for at in range(0, len(asks), 12):
            union = asks[at]
            for ask in asks[at + 1:at + 12]:
                union = union.union(ask)
            got = {r["i"]: r["n"] for r in union.collect()}
            assert [got[i] for i in range(at, min(at + 12, len(asks)))] == wants[at:at + 12], table
        asked += len(asks)
    assert asked > 60


def test_spark_appends_and_we_go_on(spark, tmp_path):
    """A row that Spark adds by itself stays, and inlet's next commit stands on it. Java's catalog never ends its first
    read: without a write-ahead log nobody could commit while Spark is up, and Spark itself sees later commits by a new session alone."""
    import json
    lake = Lake(tmp_path / "lake")
    event = {"event_uuid": "u1", "event_name": "a:b", "created_at": 1700000000, "n": 1}
    lake.load("-", stdin=json.dumps(event).encode())
    session = open_lake(spark, lake, "?journal_mode=WAL")
    given = {"event_uuid": "'s1'", "event_name": "'a:b'", "created_at": "1700000001.0D", "event_type": "'a'",
             "event_time": "timestamp_micros(1700000001000000)", "n": "2L"}
    columns = ", ".join(given.get(f.name, f"CAST(NULL AS {f.dataType.simpleString()})") + f" AS `{f.name}`"
                        for f in session.table("`default`.events.a").schema)
    session.sql(f"INSERT INTO `default`.events.a SELECT {columns}")
    lake.load("-", stdin=json.dumps({**event, "event_uuid": "u2", "n": 3, "later": "x"}).encode())
    rows = {r["event_uuid"]: r for r in read(open_lake(spark, lake, "?journal_mode=WAL"), "a")[1]}
    assert {u: r["n"] for u, r in rows.items()} == {"u1": 1, "s1": 2, "u2": 3}
    assert {r["event_uuid"] for r in lake.rows("a")} == {"u1", "s1", "u2"}


@pytest.fixture(scope="module")
def page(spark, tmp_path_factory):
    """The cookbook's lake in a session of Spark, and what DuckDB answers over it."""
    folder = tmp_path_factory.mktemp("page")
    lake = Lake(folder / "lake")
    cookbook.make_lake(lake.load, folder)
    return open_lake(spark, lake), cookbook.duckdb_answers(cookbook.page_python(folder)["con"])


def rows_of(session, sql):
    """Spark writes names in backquotes, which the page says."""
    return [tuple(r) for r in session.sql(sql.replace('"', "`")).collect()]


@pytest.mark.parametrize("asked", [a for a in cookbook.queries("Spark") if a[0] != "As it was"], ids=lambda a: f"{a[0]}-{a[1]}-{a[2]}")
def test_cookbook(page, asked):
    session, answers = page
    got = rows_of(session, cookbook.queries("Spark")[asked])
    assert cookbook.same_answer(got, answers[asked]), (got[:3], answers[asked][:3])


def test_cookbook_as_it_was(spark, tmp_path):
    lake = Lake(tmp_path / "lake")
    moment = cookbook.load_before_and_after(lake)
    session = open_lake(spark, lake)
    then = cookbook.queries("Spark")["As it was", "own", 1].replace("2026-11-20 12:00:00", moment)
    assert then.count(moment) == 1
    assert rows_of(session, then) == [(1,)] and rows_of(session, "SELECT count(*) FROM events.`order`") == [(2,)]


def test_views(spark, tmp_path):
    lake = Lake(tmp_path / "lake")
    events = [{"event_uuid": "a", "event_name": "order:new", "created_at": 1763971200.5, "user_id": 7, "n": 1},
              {"event_uuid": "b", "event_name": "click", "created_at": 1763971201, "user_id": 8, "price": 1.5},
              {"event_uuid": "c", "event_name": "login:ok", "created_at": 1763971202, "user_id": "seven", "n": 2}]
    lake.load("-", stdin=ndjson(events))
    session = open_lake(spark, lake)
    session.sql(run("views", "--lake", lake.path, "--for", "spark", "--with", "user_id,price").stdout.decode().strip().rstrip(";"))
    rows = [tuple(r) for r in session.sql("SELECT event_uuid, event_type, event_subtype, user_id, price, unix_micros(event_time) FROM all_events "
                                          "ORDER BY 1").collect()]
    assert rows == [("a", "order", "new", "7", None, 1763971200500000), ("b", "click", None, "8", 1.5, 1763971201000000),
                    ("c", "login", "ok", "seven", None, 1763971202000000)]
