"""The commands as somebody meets them first: help, nonsense, init, doctor, status."""
import gzip
import json
import os
import re
import resource
import subprocess
import tempfile
import time

import pytest

import model
from conftest import INLET, ndjson, run
from test_health import Worker, until
from test_run import consume, make, put

COMMANDS = re.findall(r"^  ([a-z]+)", run("help").stdout.decode().split("Usage")[1].split("`inlet COMMAND")[0], re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    text = run(command, "--help").stdout.decode()
    assert text.startswith(f"inlet {command}: ") and f"\nExample:\n  inlet {command}" in text
    assert run("help", command).stdout.decode() == text
    assert max(map(len, text.splitlines())) <= 110
    options = set(re.findall(r"^  --([a-z-]+)", text, re.M))
    example = set(re.findall(r"--([a-z-]+)", text.split("Example:")[1]))
    assert example <= options, "the example has options that the command does not take"


def test_a_reader_that_goes_away_is_no_trouble_and_a_full_disk_is():
    gone, out = os.pipe()
    os.close(gone)
    with os.fdopen(out, "w") as pipe, open("/dev/full", "w") as full:
        assert subprocess.run([INLET, "load", "--help"], stdout=pipe, stderr=subprocess.PIPE).stderr == b""
        assert b"No space left" in subprocess.run([INLET, "load", "--help"], stdout=full, stderr=subprocess.PIPE).stderr


def test_gen_ends_in_silence_when_nobody_reads_on():
    with subprocess.Popen([INLET, "gen", "--events", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        json.loads(p.stdout.readline())
        p.stdout.close()
        assert (p.stderr.read(), p.wait(timeout=60)) == (b"", 0)


@pytest.mark.parametrize("fd, says", [(0, "cannot read standard input"), (1, "standard output"), (2, "")])
def test_a_closed_standard_stream_is_no_other_file(lake, fd, says):
    """Else what is opened first takes its place: here the lake's folder, elsewhere a socket."""
    p = subprocess.Popen([INLET, "load", "--lake", lake.path, "-", "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, preexec_fn=lambda: os.close(fd))
    _, err = p.communicate(b"", timeout=60)
    assert says in err.decode() and p.returncode == (1 if fd < 2 else 0)


def test_a_limit_of_threads_is_said():
    """To root it does not apply: then as somebody else, where he may."""
    def limit():
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        if os.getuid() == 0:
            os.setuid(65534)

    with tempfile.TemporaryDirectory() as at:
        os.chmod(at, 0o777)
        try:
            p = subprocess.run([INLET, "load", "--lake", f"{at}/lake", "-"], stdin=subprocess.DEVNULL, capture_output=True, preexec_fn=limit)
        except PermissionError:
            pytest.skip("nobody else may run the program where it lies")
    assert p.returncode == 1 and b"no further thread" in p.stderr and b"ulimit -u" in p.stderr, p


@pytest.mark.parametrize("args, says", [
    (["lod"], "did you mean \"load\"?"),
    (["load", "--lak", "x", "y"], "did you mean --lake?"),
    (["load", "--lake", "x"], "FILE"),
    (["load", "y"], "--lake DIR or s3://BUCKET/PREFIX is needed"),
    (["tables"], "--lake DIR or s3://BUCKET/PREFIX is needed"),
    (["schema", "order"], "--lake DIR or s3://BUCKET/PREFIX is needed"),
    (["status"], "--worker ADDR"),
    (["init"], "--lake DIR or s3://BUCKET/PREFIX is needed"),
    (["doctor"], "--lake DIR or s3://BUCKET/PREFIX is needed"),
    (["load", "--lake", "x", "--memory", "12", "y"], "too small: at least 32MB"),
    (["load", "--lake", "x", "--namespace", "../z", "y"], "letters, digits"),
    (["load", "--lake", "x", "--zstd-level", "99", "y"], "too large: at most 19"),
    (["load", "--lake", "x", "--commit-interval", "9d", "y"], "too large: at most 1d"),
    (["load", "--lake", "x", "--commit-interval", "5", "y"], "write 250ms, 60s"),
    (["load", "--lake", "x", "--created-at-unit", "weeks", "y"], "auto|s|ms|us|ns"),
    (["run", "--lake", "x", "--stream", "events"], "kinesis://NAME"),
    (["run", "--lake", "x", "--stream", "kinesis://a", "extra"], "\"extra\" is too much"),
    (["config", "--config", "/nowhere.yaml"], "/nowhere.yaml"),
    (["config", "--config", "/"], "it is a directory"),
    (["gen", "--aggregate"], "it needs --stream kinesis://NAME"),
])
def test_nonsense_is_answered_with_what_to_do(args, says, tmp_path):
    r = subprocess.run([INLET, *args], capture_output=True, cwd=tmp_path, timeout=60)
    assert r.returncode == 2 and r.stdout == b"", r
    assert says in r.stderr.decode() and len(r.stderr.decode().splitlines()) == 1, r.stderr
    assert os.listdir(tmp_path) == [], "nothing was made"


def test_a_failed_load_says_only_why(tmp_path):
    (tmp_path / "a").write_text("{}\n")
    r = run("load", "--lake", tmp_path / "a", tmp_path / "a", check=False)
    assert r.returncode == 1 and len(r.stderr.decode().splitlines()) == 1, r.stderr


CONFIG = """
tables:
  order:
    partition_by: [event_subtype, hour(event_time)]
    columns: {price: "decimal(12,2)", user.email: string, debug: drop, paid_at: timestamptz}
  refund:
    columns: {amount: double}
"""


def states(r):
    return {o["name"]: o["state"] for o in json.loads(r.stdout)["objects"] if o["object"] in ("table", "namespace")}


def test_init(lake, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG)
    init = ["init", "--lake", lake.path, "--config", config]
    assert b"to be made" in run(*init, "--dry-run").stdout and not lake.path.exists()
    r = run(*init, "--json")
    assert states(r) == {"events": "made", "inlet_dead_letters": "made", "order": "made", "refund": "made"}
    before = {p: p.read_bytes() for p in lake.path.rglob("*") if p.is_file()}
    r = run(*init, "--json")
    assert json.loads(r.stdout)["changed"] == 0 and set(states(r).values()) == {"exists"}
    assert before == {p: p.read_bytes() for p in lake.path.rglob("*") if p.is_file()}, "again: nothing changes"
    schema = lake.pyiceberg("order").schema()
    assert str(schema.find_type("price")) == "decimal(12, 2)" and str(schema.find_type("user.email")) == "string"
    assert str(schema.find_type("paid_at")) == "timestamptz" and "debug" not in schema.column_names
    assert [str(f.transform) for f in lake.pyiceberg("order").spec().fields] == ["identity", "hour"]
    assert lake.pyiceberg("inlet_dead_letters").scan().to_arrow().num_rows == 0
    # a column that is declared later
    config.write_text(CONFIG.replace("{amount: double}", "{amount: double, more.deep: long}"))
    assert states(run(*init, "--dry-run", "--json"))["refund"] == "to be changed"
    assert "more" not in lake.pyiceberg("refund").schema().column_names
    assert states(run(*init, "--json"))["refund"] == "changed"
    assert str(lake.pyiceberg("refund").schema().find_type("more.deep")) == "long"
    # and it is a lake to load into
    lake.load("-", "--config", config, stdin=ndjson([
        {"event_uuid": "u", "event_name": "order:paid", "created_at": 1700000000, "price": 1.25, "user": {"email": "x"}, "debug": 1},
        {"event_uuid": "v", "event_name": "refund", "created_at": 1700000000, "amount": 1, "more": {"deep": 5}}, "no"]))
    assert lake.rows("order")[0]["user"] == {"email": "x"} and lake.rows("refund")[0]["more"] == {"deep": 5}
    assert len(lake.rows("inlet_dead_letters")) == 1


def test_init_fails_in_parts(lake, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("tables:\n  bad: {}\n  good: {}\n")
    (lake.path / "events").mkdir(parents=True)
    (lake.path / "events" / "bad").symlink_to(tmp_path / "gone" / "bad")
    r = run("init", "--lake", lake.path, "--config", config, "--json", check=False)
    assert r.returncode == 1
    assert states(r) == {"events": "made", "inlet_dead_letters": "made", "bad": "failed", "good": "made"}
    r = run("init", "--lake", config, check=False)
    assert r.returncode == 1 and b"Not a directory" in r.stdout and b"0 made or changed, 1 failed" in r.stdout


def checks(r):
    out = {}
    for c in json.loads(r.stdout)["checks"]:
        out.setdefault(c["check"], []).append((c["status"], c["found"], c["mend"]))
    return out


def test_doctor(lake, kinesis):
    client, env = kinesis
    client.create_stream(StreamName="patient", ShardCount=2)
    args = ["doctor", "--lake", lake.path, "--stream", "kinesis://patient", "--json"]
    r = run(*args, env=env, check=False)
    c = checks(r)
    assert r.returncode == 1 and c["lake"][0][0] == "failed" and c["lake"][0][2] == "run `inlet init`"
    assert not lake.path.exists(), "looking makes nothing"
    run("init", "--lake", lake.path)
    files = sorted(p for p in lake.path.rglob("*") if "metadata" not in str(p))
    r = run(*args, env=env)
    c = checks(r)
    for what in ("settings", "memory", "lake", "catalog", "catalog commit", "leases", "stream", "stream reading", "clock"):
        assert c[what][0][0] == "ok", (what, c)
    assert "2 open shards" in c["stream"][0][1] and c["stream retention"][0][0] == "warning"
    assert sorted(p for p in lake.path.rglob("*") if "metadata" not in str(p)) == files, "the probes are gone"
    assert lake.pyiceberg("inlet_dead_letters").properties["inlet.doctor"]
    text = run(*args[:-1], env=env).stdout.decode()
    assert "\033" not in text and re.search(r"^ok    lake  +file://", text, re.M)


def test_doctor_finds_what_is_wrong(lake, kinesis):
    _, env = kinesis
    run("init", "--lake", lake.path)
    args = ["doctor", "--lake", lake.path, "--json"]
    c = checks(run(*args, "--stream", "kinesis://nowhere", env=env, check=False))
    assert c["stream"][0][0] == "failed" and "nowhere" in c["stream"][0][1]
    assert "kinesis:DescribeStreamSummary" in c["stream"][0][2]
    c = checks(run(*args, "--stream", "kinesis://x", env={**env, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, check=False))
    assert c["stream"][0][0] == "failed" and "127.0.0.1:1" in c["stream"][0][1]
    (lake.path / "leases.db").write_bytes(b"broken" * 1000)
    c = checks(run(*args, check=False))
    assert c["leases"][0][0] == "failed" and c["lake"][0][0] == "ok"
    (lake.path / "catalog.db").write_bytes(b"broken" * 1000)
    c = checks(run(*args, check=False))
    assert c["catalog"][0][0] == "failed" and c["lake"][0][0] == "ok"


def test_status(lake, kinesis, tmp_path):
    client, env = kinesis
    client.create_stream(StreamName="state", ShardCount=2)
    events = make(100)
    put(client, "state", events)
    consume(lake, "state", env)
    f = tmp_path / "f.ndjson"
    f.write_bytes(ndjson(make(5)))
    lake.load(f)
    put(client, "state", make(10))
    args = ["status", "--lake", lake.path, "--stream", "kinesis://state"]
    s = json.loads(run(*args, "--json", env=env).stdout)
    assert [(t["table"], t["rows"], t["rows_last_hour"], t["commits_last_hour"]) for t in s["tables"]
            if t["table"] != "inlet_loads"] == [("order", 105, 105, 2)]
    assert [x["shard"] for x in s["shards"]] == ["shardId-000000000000", "shardId-000000000001"]
    for x in s["shards"]:
        assert x["stream"].startswith("arn:aws:kinesis:") and x["owner"] is None
        assert x["checkpoint"] == x["least_position"] == x["greatest_position"] and x["lag_seconds"] >= 0
    assert s["files_loaded"] == 1
    text = run(*args, env=env).stdout.decode()
    head, row = text.splitlines()[:2]
    assert "1 file loaded" in text and head.index("LAST COMMIT") == re.search(r"20\d\d-", row).start()
    # a running worker, by its own word
    w = Worker(lake, "state", env, tmp_path, "--http", "127.0.0.1:0")
    until(lambda: w.get("/readyz")[0] == 200)
    worker = json.loads(run("status", "--worker", f"127.0.0.1:{w.port()}", "--json").stdout)
    assert worker["health"]["ok"] and worker["ready"]["ok"] and worker["shards"] == 2
    assert w.stop() == 0
    r = run("status", "--worker", "127.0.0.1:1", check=False)
    assert r.returncode == 1 and b"127.0.0.1:1" in r.stderr


@pytest.mark.parametrize("columns", [80, 40])
def test_progress_line_on_a_terminal(lake, tmp_path, columns):
    """Rewritten in place on a terminal, and never longer than its row, the last one left standing; whole lines in the log elsewhere."""
    import fcntl
    import pty
    import struct
    import termios
    f = tmp_path / "f.ndjson"
    f.write_bytes(run("gen", "--events", "200000", "--quiet").stdout)
    try:
        master, slave = pty.openpty()
    except OSError:
        pytest.skip("this machine has no pseudo terminals")
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    p = subprocess.Popen([INLET, "load", "--lake", str(lake.path), "--no-fsync", str(f)], stderr=slave)
    os.close(slave)
    seen = b""
    while True:
        try:
            more = os.read(master, 65536)
        except OSError:
            break
        if not more:
            break
        seen += more
    os.close(master)
    assert p.wait() == 0
    lines = seen.decode().split("\r\x1b[K")
    progress = [line for line in lines if re.match(r"[\d,]+ events  [\d,]+/s  lag \d+s", line)]
    assert len(progress) >= 2 and progress[-1].startswith("200,000 events") and "\n" not in "".join(progress[:-1])
    assert max(map(len, progress[:-1])) < columns
    assert "records read" in progress[-1], "the report follows on lines of its own"
    piped = lake.load(f).stderr.decode()
    assert "\r" not in piped and "\033" not in piped


def test_an_empty_file_is_not_one_already_loaded(lake, tmp_path):
    (tmp_path / "empty.json").write_bytes(b"")
    assert json.loads(lake.load(tmp_path / "empty.json", "--json").stdout)["already_loaded"] == 0
    (tmp_path / "one.json").write_bytes(ndjson([{"event_uuid": "u", "event_name": "a:b", "created_at": 1}]))
    for already in (0, 1):
        assert json.loads(lake.load(tmp_path / "one.json", "--json").stdout)["already_loaded"] == already


def test_a_file_of_something_else_is_told_what_is_wanted(lake, tmp_path):
    good = {"event_uuid": "u", "event_name": "a:b", "created_at": 1}
    (tmp_path / "array.json").write_text(json.dumps([good, good]))
    for how in (["--quiet"], ["--json"], ["--log-format", "json"]):
        (tmp_path / "array.json").write_text(json.dumps([good, good, how]))
        assert b"No record is an event: one JSON object a line" in lake.load(tmp_path / "array.json", *how).stderr
    (tmp_path / "some.json").write_bytes(ndjson([good, "[]"]))
    assert b"No record is" not in lake.load(tmp_path / "some.json").stderr


def test_the_report_lines_up(lake, tmp_path):
    (tmp_path / "f").write_bytes(ndjson([{"event_uuid": "u", "event_name": "a", "created_at": at} for at in (1, -1, "x", 1)]))
    report = [x for x in lake.load(tmp_path / "f").stderr.decode().splitlines() if x.startswith("  ")]
    ends = {re.match(r"  .*?  +[\d,]+|  +\S+ [\d,]+", x).end() for x in report}
    assert any("created_at_out_of_range" in x for x in report) and len(ends) == 1, report


def test_letters_of_a_load_that_failed_are_not_said_to_be_in_the_lake(lake, tmp_path):
    (tmp_path / "cut.gz").write_bytes(gzip.compress(ndjson([{"n": i, "x": os.urandom(90).hex()} for i in range(19999)]))[:-9])
    r = lake.load(tmp_path / "cut.gz", check=False)
    assert r.returncode == 1 and b"dead letters" in r.stderr and b"in inlet_dead_letters" not in r.stderr
    (tmp_path / "cut.gz").write_bytes(gzip.compress(ndjson([{}])))
    assert b"in inlet_dead_letters" in lake.load(tmp_path / "cut.gz").stderr


def test_a_memory_that_cannot_be_kept_is_said(lake, tmp_path):
    (tmp_path / "x").write_bytes(b"")
    for memory, said in (("64MB", True), ("127MB", True), ("128MB", False)):
        r = lake.load(tmp_path / "x", "--memory", memory)
        assert (f"--memory {memory} cannot be kept".encode() in r.stderr) == said, r.stderr
