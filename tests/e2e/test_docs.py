"""docs/: the settings' table is the program's own, and the cookbook's DuckDB and PyIceberg parts run as they stand."""
import os
import re

import pytest

from conftest import ROOT, extension, run


def test_configuration_is_current():
    page = (ROOT / "docs" / "configuration.md").read_text()
    between = page.split("<!-- options -->")[1].split("<!-- end -->")[0].strip()
    assert between == run("options").stdout.decode().strip(), "run `make docs`"


def test_reasons_are_all_documented():
    codes = re.findall(r'"([a-z0-9_]+)"', (ROOT / "src" / "event" / "event.c").read_text().split("event_reason_code")[0])
    page = (ROOT / "docs" / "data-model.md").read_text()
    assert len(codes) >= 10
    for code in set(codes) - {"none"}:
        assert f"`{code}`" in page, code


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", (ROOT / "docs" / "queries.md").read_text(), re.S)


@pytest.fixture
def engine(lake, monkeypatch, tmp_path):
    """The page's Python, from top to bottom, beside a lake of generated events."""
    import duckdb
    events = tmp_path / "events.ndjson"
    events.write_bytes(run("gen", "--events", "20000", "--seed", "3", "--start", "2026-11-20T00:00:00Z").stdout)
    lake.load(events)
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks("python"):
        # what a user installs from DuckDB's repository comes from a wheel here
        block = block.replace('con.execute("INSTALL iceberg")', f"con.execute(\"LOAD '{extension('avro')}'\")")
        block = block.replace("LOAD iceberg", f"LOAD '{extension('iceberg')}'")
        exec(block, names)
    assert isinstance(names["con"], duckdb.DuckDBPyConnection) and names["rows"].num_rows > 0
    assert names["siblings"]["event_uuid"] == ["event_uuid"]
    return names["con"]


def test_queries(engine):
    ran = 0
    for sql in blocks("sql"):
        if re.match(r"-- (Athena|Spark)", sql):
            continue
        result = engine.execute(sql).to_arrow_table().to_pylist()
        ran += 1
        if "HAVING" in sql:
            assert result == []  # no event twice
        elif "_sequence IS NOT NULL" in sql:
            assert result == [{"rows": 0, "records": 0}]  # of files: nothing from a stream
        else:
            assert result, sql
    assert ran >= 10
