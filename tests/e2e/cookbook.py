"""docs/queries.md, taken apart: which engine runs which of its queries, and whether two engines give one answer."""
import datetime
import math
import re
import time

from conftest import ROOT, extension, ndjson, run

PAGE = (ROOT / "docs" / "queries.md").read_text()


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.S)


def queries(engine):
    """{what is asked: the query} for DuckDB, Trino or Spark. What is asked is a heading and a number: engines have the same ones,
    though a query that is written for some engines alone (its first line says which) stands there once for each."""
    out = {}
    for part in PAGE.split("\n## ")[1:]:
        seen = {}
        for sql in re.findall(r"```sql\n(.*?)```", part, re.S):
            named = re.match(r"-- ([A-Z][\w, ]*)", sql)
            whose = named[1].split(", ") if named else ["all"]
            if whose == ["all"] or engine in whose:
                n = seen.setdefault(whose == ["all"], [])
                n.append(sql)
                out[part.split("\n")[0], "all" if whose == ["all"] else "own", len(n)] = sql
    return out


def make_lake(load, folder):
    """Generated events, the same for every engine, by load(path), and two of which one has an object where the other has a text."""
    events = folder / "events.ndjson"
    notes = [{"event_uuid": f"note{i}", "event_name": "order:noted", "created_at": 1763971200 + i, "remark": remark} for i, remark in enumerate(["late", {"by": "phone"}])]
    events.write_bytes(run("gen", "--events", "20000", "--seed", "3", "--start", "2026-11-20T00:00:00Z").stdout + ndjson(notes))
    load(events)


def load_before_and_after(lake):
    """An event loaded, and another one later; a moment between them, as the page writes it."""
    event = {"event_uuid": "a", "event_name": "order:new", "created_at": 1763971200}
    lake.load("-", stdin=ndjson([event]))
    time.sleep(1.1)
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    time.sleep(1.1)
    lake.load("-", stdin=ndjson([{**event, "event_uuid": "b"}]))
    return moment


def page_python(folder):
    """What the page's Python leaves behind, run from top to bottom beside the lake: `con` is a DuckDB with views of its tables."""
    names = {}
    for block in blocks("python"):
        # what a user installs from DuckDB's repository comes from a wheel here
        block = block.replace('con.execute("INSTALL iceberg")', f"con.execute(\"LOAD '{extension('avro')}'\")")
        block = block.replace("LOAD iceberg", f"LOAD '{extension('iceberg')}'").replace("lake/catalog.db", f"{folder}/lake/catalog.db")
        exec(block, names)
    names["con"].execute("SET TimeZone = 'UTC'")
    return names


def duckdb_answers(con):
    return {asked: [tuple(r.values()) for r in con.execute(sql).to_arrow_table().to_pylist()] for asked, sql in queries("DuckDB").items()}


# Of these the answer is not the page's lake's alone: when it was loaded, and how its records came.
WHEN = ("How fresh is it?", "all", 1)


def same_answer(a, b):
    """Rows, whatever the order among equals: times by the microsecond, floats but for the last digits."""
    a, b = (sorted((tuple(map(plain, row)) for row in rows), key=lambda row: tuple((x is not None, str(x)) for x in row)) for rows in (a, b))
    return len(a) == len(b) and all(len(x) == len(y) and all(map(same, x, y)) for x, y in zip(a, b))


def same(a, b):
    return math.isclose(a, b, rel_tol=1e-9) if isinstance(a, float) and isinstance(b, float) else a == b


def plain(v):
    if isinstance(v, datetime.datetime):
        return v.replace(tzinfo=v.tzinfo or datetime.timezone.utc).timestamp()
    return v
