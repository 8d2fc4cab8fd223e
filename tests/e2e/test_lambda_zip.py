"""make lambda-zip: what is in the zip is all that the function needs, and it answers an invocation."""
import os
import platform
import pathlib
import subprocess
import sys
import zipfile

import pytest

import model
from conftest import INLET, ROOT
from test_lambda import OK, SHARD, batch, stream
from test_run import make

sys.path.insert(0, str(ROOT / "tests" / "standin"))
from lambda_runtime import Runtime, event_of  # noqa: E402


@pytest.mark.skipif("build/inlet" not in INLET, reason="a sanitizer's program is not for Lambda")
def test_zip(lake, kinesis, tmp_path):
    import json
    _, env = kinesis
    arn = stream(kinesis, "zipped")
    arch = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
    subprocess.run([ROOT / "tools" / "lambda_zip.sh", arch, INLET, tmp_path / "lambda.zip"], check=True, capture_output=True)
    first = (tmp_path / "lambda.zip").read_bytes()
    task = tmp_path / "task"
    with zipfile.ZipFile(tmp_path / "lambda.zip") as z:
        for info in z.infolist():
            z.extract(info, task)
            os.chmod(task / info.filename, info.external_attr >> 16)
    assert len(first) < 50 << 20, "Lambda takes 50 MB by upload"
    runtime = Runtime()
    lake.path.mkdir(parents=True)
    # nothing of our own environment but where things are; the working directory is Lambda's too
    p = subprocess.Popen([task / "bootstrap"], cwd=task, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env={
        "PATH": "/usr/bin:/bin", "LAMBDA_TASK_ROOT": str(task), "AWS_LAMBDA_RUNTIME_API": runtime.api, "INLET_LAKE": str(lake.path),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", **env})
    try:
        events = make(20)
        event = event_of(arn, SHARD, [(s, json.dumps(e).encode()) for s, e in batch(events)])
        assert runtime.invoke(event) == OK
        mapped = {line.split(maxsplit=5)[5].strip() for line in open(f"/proc/{p.pid}/maps") if "/" in line}
        code = {m for m in mapped if ".so" in m or m.endswith("inlet")}
        assert any(m.endswith("libcurl.so.4") for m in code) and all(m.startswith(str(task)) for m in code), code
    finally:
        p.kill()
        p.communicate()
        runtime.close()
    model.check(lake, events)
