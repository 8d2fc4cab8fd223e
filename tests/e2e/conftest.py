"""What the end-to-end tests share: the program, a lake of their own, and the readers that we did not
write (PyIceberg, DuckDB's Iceberg extension, pyarrow)."""
import glob
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
ROOT = pathlib.Path(__file__).resolve().parents[2]
INLET = os.environ.get("INLET", str(ROOT / "build" / "inlet"))


def pytest_collection_modifyitems(items):
    """Tests marked long first: several processes then end at about the same time."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_configure(config):
    config.addinivalue_line("markers", "long: waits for five seconds or more, so it is started first")


class Lake:
    def __init__(self, path):
        self.path = pathlib.Path(path)

    def load(self, *args, stdin=None, check=True, **kw):
        return run("load", *args, "--lake", str(self.path), stdin=stdin, check=check, **kw)

    def catalog(self):
        from pyiceberg.catalog.sql import SqlCatalog
        return SqlCatalog("default", uri=f"sqlite:///{self.path}/catalog.db", warehouse=f"file://{self.path}")

    def tables(self):
        return sorted(t[1] for t in self.catalog().list_tables("events"))

    def pyiceberg(self, table):
        return self.catalog().load_table(("events", table))

    def duckdb(self, table, select="*"):
        """Rows as dicts, through DuckDB's Iceberg extension."""
        return self.duckdb_arrow(table, select).to_pylist()

    def duckdb_arrow(self, table, select="*"):
        import duckdb
        location = self.pyiceberg(table).metadata_location
        con = duckdb.connect(config={"allow_unsigned_extensions": "true"})
        for name in ("avro", "iceberg"):
            con.execute(f"LOAD '{extension(name)}'")
        con.execute("SET TimeZone='UTC'")
        return con.execute(f"SELECT {select} FROM iceberg_scan('{location}')").to_arrow_table()

    def rows(self, table):
        return self.duckdb(table)

    def groups(self, table):
        """The number of row groups of each data file."""
        import pyarrow.parquet as pq
        files = [t.file.file_path.removeprefix("file://") for t in self.pyiceberg(table).scan().plan_files()]
        return [pq.ParquetFile(f).num_row_groups for f in files]

    def all_rows(self):
        return {t: self.rows(t) for t in self.tables()}


def extension(name):
    for base in sys.path:
        found = glob.glob(f"{base}/duckdb_extension_{name}/extensions/*/*.duckdb_extension")
        if found:
            return found[0]
    raise RuntimeError(f"no DuckDB extension {name} in this environment")


def run(*args, stdin=None, check=True, env=None, timeout=120):
    r = subprocess.run([INLET, *map(str, args)], input=stdin, capture_output=True, timeout=timeout,
                       env={**os.environ, **(env or {})})
    if check:
        assert r.returncode == 0, (args, r.returncode, r.stderr.decode()[-3000:])
    return r


def load_with_peak(lake, path, *args):
    """(What `load --json` says, its peak memory in MB): by a small process between, for a child's peak begins with its
    parent's, and a test's process may be large."""
    r = subprocess.run([sys.executable, str(pathlib.Path(__file__).with_name("peak.py")), INLET, "load", str(path), "--lake", str(lake.path),
                        "--json", "--quiet", *map(str, args)], capture_output=True, timeout=120)
    assert r.returncode == 0, r.stderr.decode()[-3000:]
    return json.loads(r.stdout), int(r.stderr.split()[-1]) >> 10


def killed_at_random(*args, times, pause, env=None):
    """Starts the program so often and kills it (-9) after `pause(random)` seconds each time; how often that was in time."""
    r, kills = random.Random(1), 0
    for _ in range(times):
        p = subprocess.Popen([INLET, *map(str, args)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env={**os.environ, **(env or {})})
        time.sleep(pause(r.random()))
        if p.poll() is None:
            p.send_signal(signal.SIGKILL)
            kills += 1
        p.wait()
    return kills


def sent_once(lake, sent):
    """Each of these event_uuids is in the lake, once."""
    rows = [row["event_uuid"] for t in lake.tables() if not t.startswith("inlet_") for row in lake.duckdb(t, "event_uuid")]
    assert len(rows) == len(set(rows)), "an event is there twice"
    assert set(rows) == set(sent)


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


@pytest.fixture(scope="session")
def kinesis():
    """moto on a free port, ended by pid."""
    import boto3
    proc, port = start_moto()
    env = aws_env(port)
    client = boto3.client("kinesis", endpoint_url=env["AWS_ENDPOINT_URL"], region_name="eu-west-1",
                          aws_access_key_id="test", aws_secret_access_key="test")
    yield client, env
    proc.terminate()
    proc.wait()


def aws_env(port):
    return {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def start_moto(env=None):
    return start_standin("aws.py", lambda port: ["-H", "127.0.0.1", "-p", port], env)


def start_standin(script, arguments, env=None):
    """A script of tests/standin on a free port of 127.0.0.1: (process, port). Its caller ends it."""
    import socket
    import time
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    proc = subprocess.Popen([sys.executable, str(ROOT / "tests" / "standin" / script), *map(str, arguments(port))],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **(env or {})})
    for _ in range(300):
        if proc.poll() is not None:
            break
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return proc, port
        time.sleep(0.1)
    proc.kill()
    raise RuntimeError(f"{script} did not start")


class Faults:
    """The fault proxy (tests/standin/faults.py), and what it is told."""

    def __init__(self, to):
        self.proc, self.port = start_standin("faults.py", lambda port: ["--port", port, "--to", to])
        self.url = f"http://127.0.0.1:{self.port}"

    def _call(self, method, path, body=None):
        import urllib.request
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data=data, method=method)) as r:
            return json.load(r)

    def add(self, *rules):
        self._call("POST", "/_faults", list(rules))

    def clear(self):
        self._call("DELETE", "/_faults")

    def rules(self):
        return self._call("GET", "/_faults")

    def log(self):
        return self._call("GET", "/_faults/log")

    def kill_after(self, requests, command, env, pause=0):
        """Runs the command, and kills it once the proxy has seen so many requests more, and `pause` seconds later: was it killed?"""
        import time
        until = self._call("GET", "/_faults/count") + requests
        p = subprocess.Popen(command, env={**PLAIN, **env}, stderr=subprocess.DEVNULL)
        while p.poll() is None and self._call("GET", "/_faults/count") < until:
            time.sleep(0.002)
        time.sleep(pause)
        p.kill()
        return p.wait() != 0

    def close(self):
        self.proc.terminate()
        self.proc.wait()


REAL_S3 = os.environ.get("S3_TEST_ENDPOINT")  # of `make test-s3`: S3 only


@pytest.fixture(scope="session")
def aws():
    """A local AWS of its own: (a maker of boto3 clients, the program's environment)."""
    if REAL_S3:
        env = {"AWS_ENDPOINT_URL": REAL_S3, **{k: os.environ[k] for k in ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}}
        yield clients(env), env
        return
    proc, port = start_moto()
    yield clients(aws_env(port)), aws_env(port)
    proc.terminate()
    proc.wait()


@pytest.fixture(scope="session")
def proxy(aws):
    f = Faults(aws[1]["AWS_ENDPOINT_URL"])
    yield f
    f.close()


@pytest.fixture
def faults(proxy):
    """The fault proxy before the local AWS, with no rules left from another test."""
    proxy.clear()
    yield proxy
    proxy.clear()


class Fake:
    """An HTTP service of one function: answer(request) -> (status, headers, body), or None to hang up.
    request has method, path, headers and body; `requests` keeps them all."""

    def __init__(self, answer, tls=None):
        import threading
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
        fake, self.requests, self.answer = self, [], answer

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one piece, or each answer waits for an acknowledgement

            def log_message(self, *args):
                pass

            def serve(self):
                self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                import types
                request = types.SimpleNamespace(method=self.command, path=self.path, headers=self.headers, body=self.body)
                fake.requests.append(request)
                got = fake.answer(request)
                if got is None:
                    self.close_connection = True
                    return
                status, headers, body = got
                body = body.encode() if isinstance(body, str) else body
                self.send_response_only(status)
                for k, v in headers.items():
                    self.send_header(k, v)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)
            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_CONNECT = serve
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def fake():
    """A maker of Fakes, closed at the end."""
    made = []

    def make(answer, **kw):
        made.append(Fake(answer, **kw))
        return made[-1]
    yield make
    [f.close() for f in made]


AWS_TOOL = str(pathlib.Path(INLET).with_name("aws_tool"))
PLAIN = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "INLET_")) and "proxy" not in k.lower()}


class StoreTool:
    """The S3 store by hand (tests/tools/aws_tool.c): each call gives (kind, text)."""

    def __init__(self, uri, env, *options):
        self.proc = subprocess.Popen([AWS_TOOL, "store", uri, *map(str, options)], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**PLAIN, **env})
        self.stderr = None

    def __call__(self, *words):
        from urllib.parse import quote
        self.proc.stdin.write((" ".join(quote(str(w), safe="/") for w in words) + "\n").encode())
        self.proc.stdin.flush()
        kind, _, text = self.proc.stdout.readline().decode().rstrip("\n").partition(" ")
        return kind, text

    def close(self):
        if self.stderr is None:
            _, err = self.proc.communicate(timeout=60)
            self.stderr = err.decode()
        return self.stderr


@pytest.fixture
def store():
    """A maker of StoreTools."""
    made = []

    def make(uri, env, *options):
        made.append(StoreTool(uri, env, *options))
        return made[-1]
    yield make
    [t.close() for t in made]


def make_bucket(aws, name):
    where = {} if REAL_S3 else {"CreateBucketConfiguration": {"LocationConstraint": aws[1]["AWS_REGION"]}}
    aws[0]("s3", s3={"addressing_style": "path"}).create_bucket(Bucket=name, **where)


def clients(env):
    def client(service, **config):
        import boto3
        from botocore.config import Config
        return boto3.client(service, endpoint_url=env["AWS_ENDPOINT_URL"], region_name=env["AWS_REGION"],
                            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
                            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"], config=Config(**config))
    return client


def ndjson(events):
    return ("\n".join(e if isinstance(e, str) else json.dumps(e) for e in events) + "\n").encode()
