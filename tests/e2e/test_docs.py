"""docs/: the settings' table is the program's own, and the cookbook's DuckDB and PyIceberg parts run as they stand."""
import json
import re

import cookbook
import pytest

from conftest import ROOT, run


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


@pytest.fixture
def page(lake, tmp_path):
    cookbook.make_lake(lake.load, tmp_path)
    return cookbook.page_python(tmp_path)


def test_queries(page):
    assert page["rows"].num_rows > 0 and page["siblings"]["event_uuid"] == ["event_uuid"]
    answers = cookbook.duckdb_answers(page["con"])
    assert len(answers) >= 10
    for (heading, _, n), rows in answers.items():
        if heading == "Is it exactly once?":
            assert rows == ([(0, 0)] if n == 1 else [])  # of files: nothing from a stream; and no event twice
        else:
            assert rows, heading


@pytest.mark.parametrize("engine", ["Spark", "Trino"])
def test_engines_are_asked_the_same(engine):
    """make test-spark and make test-trino compare answers by what is asked: no engine lacks a question."""
    asked = set(cookbook.queries(engine)) - {("As it was", "own", 1)}
    assert asked == set(cookbook.queries("DuckDB"))


def cost_table():
    """README's table of costs: {row: its three numbers}."""
    rows = re.findall(r"^\| ([\w ,:()]+?) +\|((?: +[\d.,]+ \|){3})$", (ROOT / "README.md").read_text(), re.M)
    return {name: [float(x.replace(",", "")) for x in re.findall(r"[\d.,]*\d", cells)] for name, cells in rows}


def test_costs_follow_from_the_prices_and_the_measurements(monkeypatch):
    """README's figures, computed again from its line of measurements and prices.json (both are rounded, so within 0.6%)."""
    monkeypatch.syspath_prepend(str(ROOT / "bench" / "answers"))
    import scale
    said = re.search(r"Measured: ([\d.]+) us of CPU an event, (\d+) bytes in, (\d+) bytes out, (\d+) objects", (ROOT / "README.md").read_text())
    measured = dict(zip(("cpu_us_per_event", "bytes_in", "bytes_out", "objects_per_commit"), map(float, said.groups())))
    table, checked = cost_table(), 0
    for at, rate in enumerate(scale.RATES.values()):
        for name, key in scale.ROWS:
            want, got = scale.month(rate, measured)[key], table[name][at]
            assert abs(got - want) <= 0.006 * want + 0.006, (name, rate, got, want)
            checked += 1
    assert checked == 30


def test_prices_say_where_they_are_from():
    prices = json.loads((ROOT / "bench" / "answers" / "prices.json").read_text())["prices"]
    for name, price in prices.items():
        assert price["usd"] > 0 and price["region"], name
        assert (price["source"] is None) == (price["as_of"] is None), name
        if price["source"] is None:
            assert name in ("firehose_gb", "firehose_conversion_gb"), f"{name} has no source: README must say so"
