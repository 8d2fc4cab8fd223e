"""docs/: the settings' table is the program's own, and the cookbook's DuckDB and PyIceberg parts run as they stand."""
import json
import re
import subprocess
import sys
import textwrap

import cookbook
import pytest

from conftest import INLET, ROOT, run


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


def test_a_first_lake_as_readme_has_it(tmp_path):
    """Its commands and its Python, as they stand, beside the built program and the tests' Python packages."""
    part = (ROOT / "README.md").read_text().split("## A first lake in five minutes")[1].split("\n## ")[0]
    shell, python = re.findall(r"\n\n((?:    .*\n)+)", part)
    commands = textwrap.dedent(shell).splitlines()
    assert commands[0].startswith("make deps && make ") and len(commands) == 6
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "inlet").symlink_to(INLET)
    out = [subprocess.run(["bash", "-c", c], cwd=tmp_path, capture_output=True, text=True, check=True) for c in commands[1:]]
    assert "payment" in out[2].stdout and "event_uuid" in out[3].stdout, "inlet tables, inlet schema"
    assert "files already loaded" in out[4].stderr, "again: adds nothing"
    r = subprocess.run([sys.executable, "-c", textwrap.dedent(python)], cwd=tmp_path, capture_output=True, text=True)
    assert r.returncode == 0 and "event_uuid: " in r.stdout, r.stderr[-2000:]
    tables = {line.split()[0] for line in out[2].stdout.splitlines()}
    assert {"inlet_dead_letters", "inlet_loads"} <= tables, "README says what these are"
