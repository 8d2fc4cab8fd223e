"""The image, run as ECS runs it (tools/test_image.sh builds it and says where its root is): not root, without capabilities,
with a read-only root, settings in the environment, SIGTERM at the end."""
import json
import os
import pathlib
import platform
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import boto3
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tf  # noqa: E402

ROOTS = {"arm64": os.environ["IMAGE_ARM64"], "amd64": os.environ["IMAGE_AMD64"]}
HERE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
INSIDE = '''mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && cd "$0" &&
exec /usr/bin/setpriv --no-new-privs /usr/sbin/chroot --userspec=65532:65532 "$0" "$@"'''


def container(command, env, **kw):
    return subprocess.Popen(["unshare", "--mount", "sh", "-c", INSIDE, ROOTS[HERE], *command], env=env,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kw)


def config(arch):
    return json.loads((pathlib.Path(os.environ["IMAGE_CONFIG"]) / f"{arch}.json").read_text())["Docker"]


@pytest.mark.parametrize("arch", ROOTS)
def test_says_how_it_is_run(arch):
    image = config(arch)
    assert image["architecture"] == arch
    assert image["config"]["User"] == "65532:65532" and image["config"]["StopSignal"] == "SIGTERM"
    assert image["config"]["Entrypoint"] == ["/usr/local/bin/inlet"] and image["config"]["Cmd"] == ["run"]
    assert image["config"]["Healthcheck"]["Test"][:2] == ["CMD", "/usr/local/bin/inlet-health"]


@pytest.mark.parametrize("arch", ROOTS)
def test_holds_the_program_and_little_else(arch):
    root = pathlib.Path(ROOTS[arch])
    programs = {p.name for d in ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin") for p in (root / d).glob("*") if p.is_file()}
    assert programs == {"inlet", "inlet-health"}
    assert sum(p.lstat().st_size for p in root.rglob("*") if not p.is_symlink()) < 60 << 20
    assert not [p for p in root.rglob("*") if p.is_file() and not p.is_symlink() and p.stat().st_mode & 0o6000], "set-uid"
    machine = {"arm64": "aarch64", "amd64": "x86_64"}[arch]
    run = [] if arch == HERE else [f"qemu-{machine}-static", "-L", str(root)]
    for program, text in (("inlet", b"inlet "), ("inlet-health", b"")):
        r = subprocess.run([*run, str(root / "usr/local/bin" / program), *(["--version"] if text else ["127.0.0.1:1"])], capture_output=True,
                           env={"PATH": "/usr/bin:/bin", **({} if run else {"LD_LIBRARY_PATH": str(root / f"usr/lib/{machine}-linux-gnu")})})
        assert r.returncode == (0 if text else 1) and text in r.stdout, (program, r.stdout, r.stderr)


def test_runs_with_a_read_only_root():
    """A stream into a lake in S3 and Glue, from the container's environment alone; the health check sees it live."""
    proc, aws = tf.standin()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        http = f"127.0.0.1:{s.getsockname()[1]}"
    try:
        client = lambda name: boto3.client(name, endpoint_url=aws["AWS_ENDPOINT_URL"], region_name=aws["AWS_REGION"],
                                           aws_access_key_id="test", aws_secret_access_key="test")
        client("kinesis").create_stream(StreamName="image", ShardCount=1)
        client("s3").create_bucket(Bucket="image", CreateBucketConfiguration={"LocationConstraint": aws["AWS_REGION"]})
        client("glue").create_database(DatabaseInput={"Name": "image"})
        events = [{"event_uuid": f"u{i}", "event_name": "boat:seen", "created_at": 1795392000 + i, "n": i} for i in range(100)]
        client("kinesis").put_records(StreamName="image", Records=[{"Data": json.dumps(e).encode(), "PartitionKey": "k"} for e in events])
        p = container(["/usr/local/bin/inlet", "run"], {
            **aws, "INLET_STREAM": "kinesis://image", "INLET_LAKE": "s3://image/lake", "INLET_CATALOG": "glue://image",
            "INLET_LEASES": "dynamodb://image-leases", "INLET_HTTP": http, "INLET_COMMIT_INTERVAL": "1s"})
        health = lambda: container(["/usr/local/bin/inlet-health", http], {})
        deadline, healthy = time.monotonic() + 60, False
        while time.monotonic() < deadline and p.poll() is None:
            check = health()
            if check.communicate()[0] == b"" and check.returncode == 0:
                healthy = True
                metrics = urllib.request.urlopen(f"http://{http}/metrics").read().decode()
                if any(line.startswith("inlet_rows_committed_total") and float(line.split()[-1]) == 100 for line in metrics.splitlines()):
                    break
            time.sleep(0.2)
        p.send_signal(signal.SIGTERM)
        out = p.communicate(timeout=60)[0].decode()
        assert p.returncode == 0 and healthy, out[-3000:]
        check = health()
        check.communicate()
        assert check.returncode == 1
        from pyiceberg.catalog.glue import GlueCatalog
        catalog = GlueCatalog("glue", **{"glue.endpoint": aws["AWS_ENDPOINT_URL"], "glue.region": aws["AWS_REGION"], "glue.access-key-id": "test",
                                         "glue.secret-access-key": "test", "s3.endpoint": aws["AWS_ENDPOINT_URL"], "s3.access-key-id": "test",
                                         "s3.secret-access-key": "test", "s3.region": aws["AWS_REGION"]})
        rows = catalog.load_table("image.boat").scan().to_arrow().to_pylist()
        assert sorted((r["event_uuid"], r["n"]) for r in rows) == sorted((e["event_uuid"], e["n"]) for e in events), out[-3000:]
    finally:
        proc.terminate()
        proc.wait()
