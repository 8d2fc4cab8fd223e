"""make test-env: the local environment from nothing to nothing, as a user has it. Terraform makes all of it on the stand-in for
AWS; the program gets the environment that its registered task definition gives it; a live producer sends; the lake in S3 and
Glue is read back exactly; every request that the program made is one that its role allows; a second plan is empty; nothing is
left at the end. Before that it goes wrong as environments do: a state bucket left unfinished, a run that fails in the middle, a
lock left behind."""
import fnmatch
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import boto3
import pytest

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).resolve().parents[1] / "e2e")]
import model  # noqa: E402
import policy  # noqa: E402
import tf  # noqa: E402

EVENTS, RATE = 6000, 1500
WORK = tf.ROOT / "build" / "env" / "local"
INLET = os.environ.get("INLET", str(tf.ROOT / "build" / "inlet"))
AWS = {"region_name": "eu-west-1", "aws_access_key_id": "local", "aws_secret_access_key": "local"}


def tool(*args, check=True, answer="", **env):
    r = subprocess.run([str(a) for a in args], cwd=tf.ROOT, input=answer, capture_output=True, text=True, timeout=400,
                       env={**os.environ, "INLET": INLET, "EVENTS": str(EVENTS), "RATE": str(RATE), **env})
    if check:
        assert r.returncode == 0, f"{args}:\n{r.stdout[-3000:]}\n{r.stderr[-3000:]}"
    return r


def make(target, check=True, answer="", **env):
    return tool("tools/env.sh", target, "local", check=check, answer=answer, **env)


@pytest.fixture(scope="module")
def environment():
    """It, running: the stand-in's address, the log of what the program asked for."""
    if subprocess.run(["which", "terraform"], capture_output=True).returncode:
        pytest.skip("Terraform is not installed: make env-up ENV=local cannot be tried")
    assert not (WORK / "standin.json").exists(), "a local environment runs already: make env-down ENV=local"
    url = tool(sys.executable, "tools/env_local.py", "standin").stdout.strip()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    proxy = subprocess.Popen([sys.executable, str(tf.ROOT / "tests" / "standin" / "faults.py"), "--port", str(port), "--to", url])
    up = None
    try:
        went_wrong = trouble(url)
        up = make("up", PROXY=f"http://127.0.0.1:{port}")
        yield url, f"http://127.0.0.1:{port}", up.stdout, went_wrong
    finally:
        down = make("down", check=up is not None)
        proxy.terminate()
        proxy.wait()
        for name in ("standin", "worker", "producer"):
            assert not (WORK / f"{name}.json").exists(), name
        assert up is None or "nothing is left" in down.stdout, down.stdout


STATES = "inlet-tfstate-123456789012-eu-west-1"
ROLE = "inlet-local-run-eu-west-1"


def trouble(url):
    """An environment that is half there, and what is said of it: {what was done: (exit status, text)}."""
    client = lambda name: boto3.client(name, endpoint_url=url, **AWS)
    say = lambda r: (r.returncode, r.stdout + r.stderr)
    said = {}
    client("s3").create_bucket(Bucket=STATES, CreateBucketConfiguration={"LocationConstraint": AWS["region_name"]})
    client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")
    said["up beside a role of that name"] = say(make("up", check=False))
    said["streams then"] = client("kinesis").list_streams()["StreamNames"]
    client("iam").delete_role(RoleName=ROLE)
    lock = {"ID": "11111111-2222-3333-4444-555555555555", "Operation": "OperationTypeApply", "Info": "", "Who": "root@elsewhere",
            "Version": "1.11.0", "Created": "2026-11-20T10:00:00.5Z", "Path": f"{STATES}/local.tfstate"}
    client("s3").put_object(Bucket=STATES, Key="local.tfstate.tflock", Body=json.dumps(lock))
    for verb in ("up", "plan", "down"):
        said[f"{verb} while locked"] = say(make(verb, check=False))
    said["unlock, no"] = say(make("unlock", check=False, answer="no\n"))
    said["unlock, yes"] = say(make("unlock", check=False, answer="yes\n"))
    said["unlock, again"] = say(make("unlock", check=False, answer="yes\n"))
    return said


class CloudLake:
    """What model.check asks of a lake: PyIceberg says which files there are, pyarrow reads them (PyIceberg would give [] for a
    list that is null)."""

    def __init__(self, url, database):
        from pyarrow.fs import S3FileSystem
        from pyiceberg.catalog.glue import GlueCatalog
        keys = {"access-key-id": "local", "secret-access-key": "local", "region": "eu-west-1", "endpoint": url}
        self.database = database
        self.catalog = GlueCatalog("glue", **{f"{s}.{k}": v for s in ("glue", "s3") for k, v in keys.items()})
        self.files = S3FileSystem(access_key="local", secret_key="local", region="eu-west-1", endpoint_override=url.removeprefix("http://"), scheme="http")
        self.loaded = {}

    def tables(self):
        return sorted(t[1] for t in self.catalog.list_tables(self.database) if t[1] != "raw")

    def pyiceberg(self, table):
        if table not in self.loaded:
            self.loaded[table] = self.catalog.load_table((self.database, table))
        return self.loaded[table]

    def rows(self, table):
        import pyarrow.parquet as pq
        out = []
        for task in self.pyiceberg(table).scan().plan_files():
            out += pq.read_table(task.file.file_path.removeprefix("s3://"), filesystem=self.files, partitioning=None).to_pylist()
        return out

    def ids(self, table):
        return self.pyiceberg(table).scan(selected_fields=("event_uuid",)).to_arrow()["event_uuid"].to_pylist()


def produced():
    """What the producer sends: the distinct events, and how many records are none."""
    out = subprocess.run([INLET, "gen", "--events", str(EVENTS), "--seed", "7", "--start", "2026-11-20T00:00:00Z", "--duplicates", "0.01",
                          "--malformed", "0.001", "--quiet"], capture_output=True, check=True).stdout
    events, bad = {}, 0
    for line in out.splitlines():
        try:
            event = json.loads(line)
            assert event["event_uuid"] and event["event_name"].split(":")[0] and float(event["created_at"]) >= 0
            events[event["event_uuid"]] = event
        except (ValueError, KeyError, TypeError, AttributeError, AssertionError):
            bad += 1
    return list(events.values()), bad


def committed():
    """Rows, by the program's own metrics: just to know when to look."""
    try:
        note = json.loads((WORK / "worker.json").read_text())
        text = urllib.request.urlopen(f"http://{note['http']}/metrics", timeout=5).read().decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("inlet_rows_committed_total"))
    except OSError:
        return 0


def test_events_reach_the_lake_exactly(environment):
    url, _, said, _ = environment
    assert "health:" in said and "Apply complete" in said
    events, bad = produced()
    assert bad > 0 and len(events) < EVENTS, "there are dead letters and duplicates among them"
    deadline = time.monotonic() + 120
    while committed() < len(events) + bad and time.monotonic() < deadline:
        time.sleep(0.5)
    lake = CloudLake(url, "inlet_local")
    log = (WORK / "worker.log").read_text()[-3000:]
    found = [i for t in lake.tables() if not t.startswith("inlet_") for i in lake.ids(t)]
    assert sorted(found) == sorted(e["event_uuid"] for e in events), f"{len(found)} of {len(events)}: {log}"
    model.check(lake, events)
    assert len(lake.rows("inlet_dead_letters")) == bad


def test_health_and_metric_lines(environment):
    note = json.loads((WORK / "worker.json").read_text())
    assert urllib.request.urlopen(f"http://{note['http']}/healthz").status == 200
    log = (WORK / "worker.log").read_text()
    assert "http: /healthz" in log, "the line that the alarm on restarts counts"
    # By name, what the alarms and the dashboard ask of the program's own metrics.
    emf = (tf.ROOT / "src" / "health" / "emf.c").read_text()
    for metric in ("CommitAge", "DeadLetters", "Rows", "Duplicates", "Rescued"):
        assert f'"{metric}"' in emf
    wanted = {m["MetricName"] for m in boto3.client("cloudwatch", endpoint_url=environment[0], **AWS).describe_alarms()["MetricAlarms"] if m["Namespace"] == "inlet"}
    assert wanted == {"CommitAge", "DeadLetters", "inlet-local-starts"}


SERVICES = {"Kinesis_20131202": "kinesis", "AWSGlue": "glue", "DynamoDB_20120810": "dynamodb"}


def asked(request):
    """The IAM action of a request, and for S3 the resource."""
    if request.get("target"):
        service, action = request["target"].split(".", 1)
        return f"{SERVICES[service]}:{action}", None
    path, _, query = request["path"].partition("?")
    bucket, _, key = urllib.parse.unquote(path).lstrip("/").partition("/")
    arguments, method = urllib.parse.parse_qs(query, keep_blank_values=True), request["method"]
    if not key and method == "POST" and "delete" in arguments:
        return "s3:DeleteObject", None  # its keys are in the body
    if not key:
        return "s3:ListBucket", f"arn:aws:s3:::{bucket}"
    action = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "POST": "PutObject",
              "DELETE": "AbortMultipartUpload" if "uploadId" in arguments else "DeleteObject"}[method]
    return f"s3:{action}", f"arn:aws:s3:::{bucket}/{key}"


def allowed(action, resource, statements):
    return any(s["Effect"] == "Allow" and action in policy.listed(s["Action"])
               and (resource is None or any(fnmatch.fnmatchcase(resource, r) for r in policy.listed(s["Resource"]))) for s in statements)


def test_the_role_allows_what_the_program_does(environment):
    url, proxy = environment[:2]
    requests = json.loads(urllib.request.urlopen(f"{proxy}/_faults/log").read())
    iam = boto3.client("iam", endpoint_url=url, **AWS)
    statements = [s for name in iam.list_role_policies(RoleName=ROLE)["PolicyNames"]
                  for s in iam.get_role_policy(RoleName=ROLE, PolicyName=name)["PolicyDocument"]["Statement"]]
    used = {asked(r) for r in requests}
    assert {a for a, _ in used} >= {"kinesis:GetRecords", "s3:PutObject", "glue:UpdateTable", "dynamodb:UpdateItem"}
    assert sorted({(a, r) for a, r in used if not allowed(a, r, statements)}, key=str) == []


def test_what_was_made_keeps_the_policies(environment):
    """Also those policies that a plan cannot show, for the key's ARN is in them."""
    state = boto3.client("s3", endpoint_url=environment[0], **AWS)
    applied = json.loads(state.get_object(Bucket=STATES, Key="local.tfstate")["Body"].read())
    found = [{"address": ".".join(filter(None, [r.get("module"), r["type"], r["name"]])), "type": r["type"], "name": r["name"], "values": i["attributes"]}
             for r in applied["resources"] if r["mode"] == "managed" for i in r["instances"]]
    assert [r for r in found if r["name"] == "key" and r["values"].get("policy")], "the key's policies are there"
    assert policy.violations(found, keyed=True, protected=False) == []


def test_a_second_plan_is_empty(environment):
    assert "No changes" in make("plan").stdout


def test_what_went_wrong_was_said_and_gone_on_from(environment):
    said = environment[3]
    code, text = said["up beside a role of that name"]
    assert code != 0 and ROLE in text and "EntityAlreadyExists" in text, text
    assert said["streams then"] == ["inlet-local"], "it was half applied, and the next run went on"
    for verb in ("up", "plan", "down"):
        code, text = said[f"{verb} while locked"]
        line = text.strip().splitlines()[-1]
        assert code == 1 and line.startswith("env: the state of 'local' is locked by root@elsewhere since 2026-11-20T10:00:00Z (apply)"), text
        assert "make env-unlock ENV=local" in line
    assert said["unlock, no"][0] == 1 and "nothing was changed" in said["unlock, no"][1]
    assert said["unlock, yes"][0] == 0, said["unlock, yes"]
    assert said["unlock, again"][0] == 1 and "is not locked" in said["unlock, again"][1]
    s3 = boto3.client("s3", endpoint_url=environment[0], **AWS)
    assert s3.get_bucket_versioning(Bucket=STATES)["Status"] == "Enabled", "the state bucket that was left unfinished is finished"
    assert "SecureTransport" in s3.get_bucket_policy(Bucket=STATES)["Policy"]


def test_what_is_changed_by_hand_is_put_back(environment):
    """And env-up of what runs replaces the program, which goes on exactly."""
    url, proxy = environment[:2]
    alarms = boto3.client("cloudwatch", endpoint_url=url, **AWS)
    kinesis = boto3.client("kinesis", endpoint_url=url, **AWS)
    kinesis.increase_stream_retention_period(StreamName="inlet-local", RetentionPeriodHours=72)
    alarms.delete_alarms(AlarmNames=["inlet-local-silence"])
    plan = make("plan").stdout
    assert "1 to add, 1 to change, 0 to destroy" in plan, plan[-2000:]
    before = json.loads((WORK / "worker.json").read_text())["pid"]
    make("up", PROXY=proxy)
    assert "No changes" in make("plan").stdout
    after = json.loads((WORK / "worker.json").read_text())["pid"]
    assert before != after and not pathlib.Path(f"/proc/{before}").exists(), "the one before has ended"
    assert kinesis.describe_stream_summary(StreamName="inlet-local")["StreamDescriptionSummary"]["RetentionPeriodHours"] == 24
    lake = CloudLake(url, "inlet_local")
    found = [i for t in lake.tables() if not t.startswith("inlet_") for i in lake.ids(t)]
    assert sorted(found) == sorted(e["event_uuid"] for e in produced()[0])
