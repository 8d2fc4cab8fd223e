"""What is JSON: thousands of records damaged at random, judged by inlet and by Python's json, whose answer is RFC 8259's once
NaN, Infinity and bytes that are not UTF-8 are refused."""
import collections
import json
import os
import random

import expected
import pytest
from nasty import Nasty, mutate

N = int(os.environ.get("MUTATIONS", 3000))


@pytest.mark.parametrize("seed", range(int(os.environ.get("SEEDS", 2))))
@pytest.mark.parametrize("threads", [1, 2])
def test_mutations(lake, seed, threads):
    r, nasty = random.Random(seed), Nasty(seed)
    seeds = [nasty.event().encode("utf-8", "surrogatepass") for _ in range(200)]
    lines = [line for line in (mutate(r, r.choice(seeds)) for _ in range(N)) if line.strip(b" \t\r") and not line.endswith(b"\r")]
    if lines[0].startswith(b"\xef\xbb\xbf"):
        lines.pop(0)
    model = expected.Lake().load(b"\n".join(lines) + b"\n")
    lake.load("-", "--threads", threads, stdin=b"\n".join(lines) + b"\n")
    dead = lake.rows("inlet_dead_letters")
    got = collections.Counter((d["reason"], bytes(d["payload"])) for d in dead)
    want = collections.Counter(model.dead)
    assert got == want, f"only inlet: {list((got - want).items())[:3]}\nonly Python: {list((want - got).items())[:3]}"
    rows = {row["event_uuid"] for t in lake.tables() if t != "inlet_dead_letters" for row in lake.duckdb(t, "event_uuid")}
    assert rows == {u for t in model.tables.values() for u in t.rows}
    reasons = {reason for reason, _ in model.dead}
    assert {"invalid_json", "invalid_utf8", "not_an_object"} <= reasons | {"not_an_object"} and len(model.dead) > N // 5 and len(rows) > 100


CASES = [
    # (the text of a value, is it JSON?)
    ("01", False), ("1.", False), (".5", False), ("+1", False), ("1e", False), ("1e+", False), ("-", False), ("--1", False), ("0x1", False),
    ("1_0", False), ("1e5.5", False), ("00", False), ("-01", False), ("1E400", True), ("-0", True), ("0e0", True), ("1e-999", True),
    ("NaN", False), ("Infinity", False), ("-Infinity", False), ("nan", False), ("True", False), ("nul", False), ("nulll", False), ("undefined", False),
    ("'a'", False), ('"a', False), ('"\t"', False), ('"\x1f"', False), ('"\x7f"', True), ('"\\x41"', False), ('"\\u12"', False), ('"\\u12G4"', False),
    ('"\\U0041"', False), ('"\\/"', True), ('"\\\'"', False), ('"\\ud800"', True), ('"\\udc00\\ud800"', True), ('"\\ud83d\\ude00"', True), ('"\u2028"', True),
    ("[1,]", False), ("[,1]", False), ("[1 2]", False), ("[", False), ("]", False), ('{"a":1,}', False), ('{"a"}', False), ('{"a":}', False), ("{a:1}", False),
    ('{"a":1 "b":2}', False), ('{1:2}', False), ("/*c*/1", False), ("1//c", False), ("\u00a01", False), ("\ufeff1", False), ("\x0b1", False), ("1\x00", False),
    ("", False), ("[]", True), ("{}", True), (" \t\r 1 ", True), ('{"":{"":[]}}', True), ("1" * 5000, True), ("0." + "1" * 5000, True), ('"' + "\\\\" * 5000 + '"', True),
    ("[" * 998 + "]" * 998, True), ("[" * 1000 + "]" * 1000, None)]


def test_by_the_letter_of_the_standard(lake):
    line = '{"event_uuid":"u%d","event_name":"a:b","created_at":1,"k":%s}'
    lines = [(line % (i, text)).encode() for i, (text, _) in enumerate(CASES)]
    lake.load("-", "--threads", 1, stdin=b"\n".join(lines) + b"\n")
    rows = {row["event_uuid"] for row in lake.duckdb("a", "event_uuid")}
    dead = {bytes(d["payload"]): d["reason"] for d in lake.rows("inlet_dead_letters")}
    for i, (text, good) in enumerate(CASES):
        assert (f"u{i}" in rows) == bool(good), text[:60]
        assert dead.get(lines[i]) == (None if good else "nesting_too_deep" if good is None else "invalid_json"), text[:60]
        if good is not None:
            try:
                json.loads(lines[i], parse_constant=expected.not_json, parse_int=str)
                python = True
            except ValueError:
                python = False
            assert python == good, text[:60]
