"""The local environment's running parts, for tools/env.sh: the stand-in for AWS, the program and a producer.

    env_local.py standin     starts the stand-in unless it runs; prints its address
    env_local.py endpoint    prints its address, or says that it does not run
    env_local.py start       starts the program as its task definition says, in place of one that runs, and a live producer
    env_local.py stop        ends both (SIGTERM: the program commits what it has read)
    env_local.py leave       says what is left in the stand-in, and ends it
    env_local.py exec FILE COMMAND...   runs a command with the settings in a JSON file
Everything listens on 127.0.0.1 and is ended by its own process id, kept in build/env/local."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import boto3

ROOT = pathlib.Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "env" / "local"
INLET = os.environ.get("INLET", str(ROOT / "build" / "inlet"))
NAME = "inlet-local"
# What the producer sends; the test expects just this.
PRODUCED = ["--events", os.environ.get("EVENTS", "20000"), "--seed", "7", "--start", "2026-11-20T00:00:00Z",
            "--duplicates", "0.01", "--malformed", "0.001"]


def alive(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def running(name):
    """The process that we started under this name: its id and notes, or None."""
    try:
        note = json.loads((WORK / f"{name}.json").read_text())
    except (OSError, ValueError):
        return None
    command = pathlib.Path(f"/proc/{note['pid']}/cmdline")
    ours = alive(note["pid"]) and note["command"][-1] in command.read_bytes().decode().split("\0")
    return note if ours else None


def spawn(name, command, env, **notes):
    WORK.mkdir(parents=True, exist_ok=True)
    with open(WORK / f"{name}.log", "wb") as log:
        proc = subprocess.Popen(command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (WORK / f"{name}.json").write_text(json.dumps({"pid": proc.pid, "command": command, **notes}))
    return proc


def end(name, seconds):
    note = running(name)
    if note:
        os.kill(note["pid"], signal.SIGTERM)
        for _ in range(seconds * 10):
            if not alive(note["pid"]):
                break
            time.sleep(0.1)
        else:
            sys.exit(f"env: {name} (process {note['pid']}) did not end within {seconds} s: see {WORK}/{name}.log")
    (WORK / f"{name}.json").unlink(missing_ok=True)


def log_tail(name):
    lines = (WORK / f"{name}.log").read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def standin():
    note = running("standin")
    if not note:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        env = {**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}
        command = [sys.executable, str(ROOT / "tests" / "standin" / "aws.py"), "-H", "127.0.0.1", "-p", str(port)]
        proc = spawn("standin", command, env, url=f"http://127.0.0.1:{port}")
        for _ in range(300):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if proc.poll() is not None:
                sys.exit(f"env: the stand-in for AWS did not start: {log_tail('standin')}")
            time.sleep(0.1)
        note = running("standin")
    print(note["url"])


def endpoint():
    note = running("standin")
    if not note:
        sys.exit("env: the local environment does not run: make env-up ENV=local")
    print(note["url"])


def task_environment():
    """The container's environment, read back from the task definition that the service runs."""
    ecs = boto3.client("ecs")
    service = ecs.describe_services(cluster=NAME, services=["inlet"])["services"][0]
    task = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    container = task["containerDefinitions"][0]
    return container["command"], {v["name"]: v["value"] for v in container["environment"]}


def start():
    command, env = task_environment()
    # What ECS itself would add: credentials; and where this machine's AWS is.
    machine = {k: os.environ[k] for k in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    end("worker", 120)  # it drains, as a task that is replaced does
    through = {"AWS_ENDPOINT_URL": os.environ["PROXY"]} if "PROXY" in os.environ else {}  # what the test watches it by
    with socket.socket() as s:  # the container has its own 127.0.0.1:8080, this machine's may be taken
        s.bind(("127.0.0.1", 0))
        env["INLET_HTTP"] = f"127.0.0.1:{s.getsockname()[1]}"
    proc = spawn("worker", [INLET, *command], {**env, **machine, **through}, http=env["INLET_HTTP"])
    time.sleep(2)
    if proc.poll() is not None:
        sys.exit(f"env: the program ended at once: {log_tail('worker')}")
    stream = env["INLET_STREAM"]
    if running("producer"):
        print("   the producer goes on")
        return
    spawn("producer", [INLET, "gen", *PRODUCED, "--rate", os.environ.get("RATE", "2000"), "--stream", stream],
          {**machine, "AWS_REGION": env["AWS_REGION"]})
    print(f"   the program reads {stream} into {env['INLET_LAKE']}; its log: {WORK}/worker.log\n"
          f"   a producer sends {PRODUCED[1]} events, {os.environ.get('RATE', '2000')} a second\n"
          f"   AWS_ENDPOINT_URL={os.environ['AWS_ENDPOINT_URL']} asks the stand-in; health: http://{env['INLET_HTTP']}/healthz")


def stop():
    end("producer", 30)
    end("worker", 120)


def leftovers():
    """What Terraform should have taken away and did not."""
    def names(service, call, key, name=lambda x: x):
        return [f"{service} {name(x)}" for x in getattr(boto3.client(service), call)()[key]]
    found = names("kinesis", "list_streams", "StreamNames") + names("dynamodb", "list_tables", "TableNames")
    found += names("s3", "list_buckets", "Buckets", lambda b: b["Name"]) + names("glue", "get_databases", "DatabaseList", lambda d: d["Name"])
    found += names("logs", "describe_log_groups", "logGroups", lambda g: g["logGroupName"])
    found += names("ecr", "describe_repositories", "repositories", lambda r: r["repositoryName"]) + names("sns", "list_topics", "Topics", lambda t: t["TopicArn"])
    found += names("cloudwatch", "describe_alarms", "MetricAlarms", lambda a: a["AlarmName"]) + names("iam", "list_roles", "Roles", lambda r: r["RoleName"])
    found += names("firehose", "list_delivery_streams", "DeliveryStreamNames") + names("lambda", "list_functions", "Functions", lambda f: f["FunctionName"])
    found += names("ec2", "describe_vpcs", "Vpcs", lambda v: v["VpcId"] if not v["IsDefault"] else "default")
    found += names("cloudwatch", "list_dashboards", "DashboardEntries", lambda d: d["DashboardName"])
    found += names("athena", "list_work_groups", "WorkGroups", lambda w: w["Name"])
    ecs = boto3.client("ecs")
    clusters = ecs.describe_clusters(clusters=ecs.list_clusters()["clusterArns"])["clusters"]
    found += [f"ecs {c['clusterName']}" for c in clusters if c["status"] != "INACTIVE"]  # how ECS remembers what is gone
    keep = ("-tfstate-", "ec2 default", "athena primary", "iam AWSServiceRole")
    return [f for f in found if not any(k in f for k in keep)]


def leave():
    left = leftovers()
    end("standin", 20)
    if left:
        sys.exit("env: destroyed, but still there: " + ", ".join(left))
    print("   nothing is left; the stand-in has ended")


def execute(file, *command):
    settings = {k: v for k, v in json.loads(pathlib.Path(file).read_text()).items() if k not in ("INLET_HTTP", "INLET_METRICS")}
    sys.exit(subprocess.run(command, env={**os.environ, **settings}).returncode)


if __name__ == "__main__":
    {"standin": standin, "endpoint": endpoint, "start": start, "stop": stop, "leave": leave, "exec": execute}[sys.argv[1]](*sys.argv[2:])
