"""Columns over time: numbers in lists, lists that begin with null, columns that somebody drops or renames,
and files that go on while their table grows."""
import datetime
import hmac
import json
import os
import random
import subprocess
import time

import model
import pyarrow.parquet
import pytest
from conftest import INLET, ndjson
from test_load import event, load


def column(lake, table, name):
    return lake.pyiceberg(table).schema().find_field(name).field_type


@pytest.mark.parametrize("first", [[1, 2.5, 3], [2.5, 1], [1, 2]])
def test_numbers_in_a_list_become_doubles(lake, first):
    events = [event(at=first), event(at=[4]), event(at=[5.5, None, 6]), event(at=[])]
    load(lake, events)
    assert str(column(lake, "payment", "at")) == "list<double>"
    rows = {r["event_uuid"]: r for r in lake.rows("payment")}
    for e in events:
        assert rows[e["event_uuid"]]["at"] == e["at"] and rows[e["event_uuid"]]["_rescued"] is None
    load(lake, [event(at=[7, 8.25])])
    assert str(column(lake, "payment", "at")) == "list<double>"
    assert [7, 8.25] in [r["at"] for r in lake.rows("payment")]


@pytest.mark.parametrize("order", [0, 1])
def test_a_long_that_no_double_holds_stays_exact_in_a_list(lake, order):
    events = [event(at=[2**53 + 1]), event(at=[0.5])]
    load(lake, events[::-1] if order else events)
    model.check(lake, events)


def test_agreed_longs_in_a_list_stay(lake):
    events = [event(at=[1, 2])]
    load(lake, events)
    more = [event(at=[1.5, 2])]
    load(lake, more)
    assert str(column(lake, "payment", "at")) == "list<long>"
    model.check(lake, events + more)


@pytest.mark.parametrize("value", ["x", 7, 1.5, True])
def test_a_list_that_begins_with_null(lake, value):
    events = [event(), event(at=[None, None, value]), event(at=[value]), event(o={"at": [None, value]}), event(o={"z": 1})]
    load(lake, events)
    rows = {r["event_uuid"]: r for r in lake.rows("payment")}
    assert rows[events[1]["event_uuid"]]["at"] == [None, None, value]
    assert rows[events[3]["event_uuid"]]["o"]["at"] == [None, value]
    assert all(r["_rescued"] is None for r in rows.values())
    model.check(lake, events)


LISTS = [  # as they come first; what of them no column holds
    ([None, {"a": 1}], {}),
    ([None, None, {"a": {"b": "x"}}, None], {}),
    ([None, {"z": None, "a": [None, {"c": 1.5}]}], {}),
    ([None, [1]], {}),
    ([[], [None, {"a": 1}]], {}),
    ([[None], [None, {"a": 1}]], {}),
    ([{}, {"a": 1}], {"/at/0": {}}),
    ([None, {"x": {}}, {"a": 1}], {"/at/1/x": {}}),
]


@pytest.mark.parametrize("value,rest", LISTS)
def test_a_list_whose_first_element_makes_no_column(lake, value, rest):
    """As DuckDB and pyarrow see it: PyIceberg makes structs without members of null ones."""
    events = [event(), event(at=value), event(), event(o={"at": value}), event(o={"z": 1}), event(at=value)]
    load(lake, events)
    check_lists(lake, events, value, rest)


def check_lists(lake, events, value, rest):
    def plain(v):
        """Without what is null or empty, in structs."""
        if isinstance(v, list):
            return [plain(e) for e in v]
        if not isinstance(v, dict):
            return v
        return {k: plain(e) for k, e in v.items() if e not in (None, {})} or None

    for read in (lake.rows, arrow_rows(lake)):
        rows = {r["event_uuid"]: r for r in read("payment")}
        for e in events:
            row = rows[e["event_uuid"]]
            if "at" in e:
                assert plain(row["at"]) == plain(value)
            if "at" in e.get("o", {}):
                assert plain(row["o"]["at"]) == plain(value)
            prefix = "/o" if "o" in e else ""
            want = {prefix + k: v for k, v in rest.items()} if e.get("at") or e.get("o", {}).get("at") else {}
            assert json.loads(row["_rescued"] or "{}") == want


def arrow_rows(lake):
    def read(table):
        files = [t.file.file_path.removeprefix("file://") for t in lake.pyiceberg(table).scan().plan_files()]
        return [row for f in files for row in pyarrow.parquet.ParquetFile(f).read().to_pylist()]
    return read


@pytest.mark.parametrize("known", [[1], [1.5], ["x"], [{"a": 1, "b": 2}], [[1]]])
@pytest.mark.parametrize("value", [[], [None], [None, None]])
def test_lists_without_values_have_a_column_where_the_table_has_one(lake, known, value):
    """Also in a process, and of an event name, that has met none with values."""
    load(lake, [event(at=known, o={"at": known})])
    more = [event(at=value, o={"at": value, "n": 1}), event(at=known)]
    load(lake, more)
    for read in (lake.rows, arrow_rows(lake)):
        rows = {r["event_uuid"]: r for r in read("payment")}
        assert rows[more[0]["event_uuid"]]["at"] == rows[more[0]["event_uuid"]]["o"]["at"] == value
        assert rows[more[1]["event_uuid"]]["at"] == known
        assert all(r["_rescued"] is None for r in rows.values())


def test_a_dropped_column_stays_dropped(lake):
    events = [event(plan="a", n=1, o={"x": 1, "y": 2}) for _ in range(3)]
    load(lake, events)
    with lake.pyiceberg("payment").update_schema() as change:
        change.delete_column("plan")
        change.delete_column(("o", "y"))
    more = [event(plan="b", n=2, o={"x": 3, "y": 4}) for _ in range(3)]
    load(lake, more)
    names = [f.name for f in lake.pyiceberg("payment").schema().fields]
    assert "plan" not in names and not [n for n in names if n.startswith("plan")]
    rows = {r["event_uuid"]: r for r in lake.rows("payment")}
    for e in more:
        row = rows[e["event_uuid"]]
        assert row["n"] == 2 and row["o"] == {"x": 3}
        assert json.loads(row["_rescued"]) == {"/plan": "b", "/o/y": 4}


def test_a_dropped_sibling_stays_dropped(lake):
    load(lake, [event(amount=1)])
    load(lake, [event(amount="one")])
    assert "amount_string" in [f.name for f in lake.pyiceberg("payment").schema().fields]
    with lake.pyiceberg("payment").update_schema() as change:
        change.delete_column("amount_string")
    e = event(amount="two")
    load(lake, [e])
    assert "amount_string" not in [f.name for f in lake.pyiceberg("payment").schema().fields]
    row, = [r for r in lake.rows("payment") if r["event_uuid"] == e["event_uuid"]]
    assert json.loads(row["_rescued"]) == {"/amount": "two"}


def test_a_renamed_column_goes_on_being_filled(lake):
    load(lake, [event(plan="a")])
    with lake.pyiceberg("payment").update_schema() as change:
        change.rename_column("plan", "tariff")
    load(lake, [event(plan="b")])
    assert sorted(r["tariff"] for r in lake.rows("payment")) == ["a", "b"]


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_files_go_on_while_their_table_grows(lake, tmp_path, seed):
    """So little memory that rows are encoded many times before they are committed, and a new column every
    now and then, at the top and inside structs and lists."""
    r = random.Random(seed)
    events, n = [], 60000
    for i in range(n):
        grown = i * 12 // n
        fields = {f"k{r.randrange(grown + 1)}": r.choice([1, "text", 2.5, None, "x" * r.randrange(300)])}
        if i % 3 == 0:
            fields["o"] = {f"m{r.randrange(grown // 6 + 1)}": i, "fix": [1, 2]}
        if i % 5 == 0:
            fields["l"] = [{f"e{r.randrange(grown // 6 + 1)}": i, "s": "y"} for _ in range(r.randrange(3))]
        events.append(event(name=f"grow:{i % 3}", created_at=1712844605 + r.randrange(2) * 86400, pad="p" * 900, **fields))
    path = tmp_path / "e.ndjson"
    path.write_bytes(b"".join(json.dumps(e).encode() + b"\n" for e in events))
    out = json.loads(lake.load(path, "--memory", "64MB", "--json").stdout)
    days = len({e["created_at"] // 86400 for e in events})
    groups = lake.groups("grow")
    assert len(groups) >= days and sum(groups) > len(groups), "rows were to be encoded in several steps"
    assert out["rows_committed"] == n
    assert lake.pyiceberg("grow").scan().to_arrow().num_rows == n
    model.check(lake, events)


@pytest.mark.parametrize("pipe", ["standard input", "a named pipe"])
def test_what_cannot_be_read_again_is_not_said_to_be_loaded(lake, tmp_path, pipe):
    """A column dropped in mid-load makes inlet read its rows again; of a pipe it cannot, and says so."""
    named = tmp_path / "pipe"
    os.mkfifo(named)
    source, name = ("-", pipe) if pipe == "standard input" else (str(named), str(named))
    p = subprocess.Popen([INLET, "load", source, "--lake", str(lake.path), "--commit-interval", "200ms"],
                         stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    into = p.stdin if source == "-" else open(named, "wb")
    first = [event(plan="a", n=i) for i in range(5)]
    into.write(ndjson(first))
    into.flush()
    deadline = time.time() + 20
    while not lake.path.exists() or "payment" not in lake.tables() or not lake.rows("payment"):
        assert time.time() < deadline, "the first rows were never committed"
        time.sleep(0.1)
    with lake.pyiceberg("payment").update_schema() as change:
        change.delete_column("plan")
    more = [event(plan="b", n=i) for i in range(5)]
    into.write(ndjson(more))
    into.close()
    p.stdin = None if source == "-" else p.stdin
    err = p.communicate(timeout=60)[1].decode()
    assert p.returncode == 1 and f"{name} cannot be read again" in err, err
    load(lake, first + more)
    rows = {r["event_uuid"]: r for r in lake.rows("payment")}
    assert set(rows) == {e["event_uuid"] for e in first + more}
    for e in more:
        assert json.loads(rows[e["event_uuid"]]["_rescued"]) == {"/plan": "b"}


def test_a_superseded_value_leaves_no_column(lake):
    """The first of two equal keys once made the column, and the last one's list was rescued ever after."""
    e = [event() for _ in range(3)]
    lines = [json.dumps(x)[:-1].encode() + b', "k": 1, "o": {"x": 1, "x": "s"}, "k": ["a"]}' for x in e]
    load(lake, b"\n".join(lines) + b"\n")
    assert {f.name for f in lake.pyiceberg("payment").schema().fields[11:]} == {"o", "k"}
    assert str(column(lake, "payment", "k")) == "list<string>" and str(column(lake, "payment", "o.x")) == "string"
    assert all(r["_rescued"] is None and r["k"] == ["a"] for r in lake.rows("payment"))


def test_numbers_merge_also_after_a_string(lake):
    """With a string first and a long that no double holds, the two number columns once did not merge."""
    load(lake, [event(at="x"), event(at=1), event(at=0.5), event(at=2**53 + 1)])
    rows = [(r["at"], r["at_double"], r["at_long"]) for r in lake.rows("payment")]
    assert sorted(rows, key=str) == sorted([("x", None, None), (None, 1.0, None), (None, 0.5, None), (None, None, 2**53 + 1)], key=str)


def test_declared_timestamptz_keeps_what_it_holds_and_rescues_the_rest(lake, tmp_path):
    """Microseconds are stored; what is finer is stored to the microsecond and rescued as it came."""
    config = tmp_path / "inlet.yaml"
    config.write_text("tables:\n  payment:\n    columns: {at: timestamptz}\n")
    sent = ["2026-11-22T16:24:00.123456Z", "2026-11-22T16:24:00.123456000Z", "2026-11-22T16:24:00.1234567Z", 1712844605.951235,
            1712844605.9512355, "never"]
    # twice: the first of a kind goes through the general parser, the second through the learned path
    events = [event(at=v, n=i) for i, v in enumerate(sent * 2)]
    load(lake, events, "--config", str(config))
    got = {r["n"]: (r["at"], r["_rescued"]) for r in lake.rows("payment")}
    noon = datetime.datetime(2026, 11, 22, 16, 24, 0, 123456, tzinfo=datetime.timezone.utc)
    april = datetime.datetime(2024, 4, 11, 14, 10, 5, 951235, tzinfo=datetime.timezone.utc)
    for base in (0, len(sent)):
        rows = [got[base + i] for i in range(len(sent))]
        assert [at for at, _ in rows] == [noon, noon, noon, april, april, None]
        assert [rescued and json.loads(rescued) for _, rescued in rows] == [
            None, None, {"/at": sent[2]}, None, {"/at": sent[4]}, {"/at": "never"}]


def test_two_loads_into_one_lake_at_once(lake, tmp_path):
    """Both find the same new columns, each in an order of its own, and encode long before they commit: whoever comes second
    has to read again, with the other's columns."""
    sent, loads = [], []
    for k in range(2):
        events = [event(event_name=f"both{i % 3}", pad=f"{i}" * 400, own={f"k{k}_{i // 100}": "v" * (i % 50)},
                        **{f"f{i // 100 * (k + 3) % 40}": i}) for i in range(15000)]
        sent += events
        path = tmp_path / f"{k}.ndjson"
        path.write_bytes(ndjson(events))
        loads.append([INLET, "load", path, "--lake", lake.path, "--memory", "64MB", "--commit-interval", "100ms"])
    both = [subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for args in loads]
    errs = [p.communicate(timeout=120)[1].decode() for p in both]
    assert [p.returncode for p in both] == [0, 0], errs
    model.check(lake, sent)
    assert not list(lake.path.rglob("*.tmp"))


HIDDEN = ['"email":"SECRET"', '"email":["SECRET"]', '"email":{"a":"SECRET"}', '"email":"SECRET\\u0000"', '"email":"SECRET\\ud800"', '"email":99999999999999999999',
          '"u":{"email":"SECRET"}', '"u":{"email":["SECRET"]}', '"u":{"x":"SECRET"}', '"y":{"z":"SECRET"}', '"y":["SECRET"]', '"y":{}',
          '"tags":["SECRET",null]', '"items":[{"p":"SECRET"}]', '"items":[{"n":1},{"p":"SECRET"}]', '"EMAIL":1,"email":"SECRET"']


@pytest.mark.parametrize("first", ["", "a full table", "another shape"])
@pytest.mark.parametrize("order", [1, -1])
def test_what_is_declared_hash_or_drop_is_never_seen(lake, tmp_path, first, order):
    """Neither in its column nor in _rescued: whatever its value is, however many columns there are, and whatever stood above it before."""
    (tmp_path / "key").write_text("k")
    config = tmp_path / "inlet.yaml"
    config.write_text(f"hash_key_file: {tmp_path}/key\nmax_columns: 16\ntables:\n  order:\n    columns:\n"
                      "      email: hash\n      u.email: hash\n      u.x: drop\n      y: drop\n      tags.: hash\n      items..p: hash\n")
    before = {"": [], "a full table": [event("order:x", **{f"k{i}": i for i in range(20)})],
              "another shape": [event("order:x", u="text", tags={"a": 1}, items={"p": 1}), event("order:x", u=[1], tags=5, items="i")]}[first]
    lines = [json.dumps({"event_uuid": str(i), "event_name": "order:x", "created_at": 1})[:-1] + "," + raw + "}" for i, raw in enumerate(HIDDEN)]
    lake.load("-", "--config", config, "--threads", 1, stdin=ndjson(before + lines[::order]))
    rows = {r["event_uuid"]: r for r in lake.rows("order")}
    assert len(rows) == len(before) + len(lines)
    for i, raw in enumerate(HIDDEN):
        assert "SECRET" not in str(rows[str(i)]) and "9999999" not in str(rows[str(i)]), raw
    digest = hmac.new(b"k", b"SECRET", "sha256").hexdigest()
    for i, cell in ((0, lambda r: r["email"]), (6, lambda r: r["u"]["email"]), (12, lambda r: r["tags"][0]), (13, lambda r: r["items"][0]["p"]),
                    (14, lambda r: r["items"][1]["p"]), (15, lambda r: r["email"])):
        assert cell(rows[str(i)]) == digest, HIDDEN[i]
    assert json.loads(rows["15"]["_rescued"]) == {"/EMAIL": 1}, "the declared key has the name"
