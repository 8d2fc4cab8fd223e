"""inlet lambda against a local runtime API: cold start (exec to the first request for an event), the first batch, and
10,000-record batches in a warm container. python bench/lambda_bench.py"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "standin"), str(ROOT / "tests" / "e2e")]
from conftest import INLET, aws_env, start_moto  # noqa: E402
from lambda_runtime import Runtime, event_of  # noqa: E402

RECORDS, BATCHES, STARTS = 10000, 5, 20


def main():
    import boto3
    moto, port = start_moto()
    try:
        env = {**os.environ, **aws_env(port)}
        kinesis = boto3.client("kinesis", endpoint_url=env["AWS_ENDPOINT_URL"], region_name="eu-west-1",
                               aws_access_key_id="test", aws_secret_access_key="test")
        kinesis.create_stream(StreamName="bench", ShardCount=1)
        arn = kinesis.describe_stream_summary(StreamName="bench")["StreamDescriptionSummary"]["StreamARN"]
        lines = subprocess.run([INLET, "gen", "--events", str(RECORDS * BATCHES), "--quiet"], capture_output=True,
                               check=True).stdout.splitlines()
        with tempfile.TemporaryDirectory() as tmp:
            measure(arn, lines, env, tmp)
    finally:
        moto.terminate()
        moto.wait()


def start(env, tmp):
    runtime = Runtime()
    began = time.perf_counter()
    p = subprocess.Popen([INLET, "lambda", "--lake", f"{tmp}/lake"], stderr=subprocess.DEVNULL,
                         env={**env, "AWS_LAMBDA_RUNTIME_API": runtime.api, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512"})
    runtime.first_next.wait()
    return runtime, p, time.perf_counter() - began


def measure(arn, lines, env, tmp):
    cold = []
    for _ in range(STARTS):
        runtime, p, seconds = start(env, tmp)
        cold.append(seconds)
        p.kill()
        p.wait()
        runtime.close()
    runtime, p, _ = start(env, tmp)
    batches = []
    for i in range(BATCHES):
        event = json.dumps(event_of(arn, "shardId-000000000000", [
            (10**55 + i * RECORDS + j, line) for j, line in enumerate(lines[i * RECORDS:(i + 1) * RECORDS])])).encode()
        began = time.perf_counter()
        answer = runtime.invoke(event)
        batches.append(time.perf_counter() - began)
        assert answer == ("response", {"batchItemFailures": []}), answer
    cpu = open(f"/proc/{p.pid}/stat").read().rsplit(")", 1)[1].split()
    rss = next(line for line in open(f"/proc/{p.pid}/status") if line.startswith("VmHWM")).split()[1]
    p.kill()
    p.wait()
    runtime.close()
    print(json.dumps({"cold_start_ms": {"median": round(statistics.median(cold) * 1000, 1), "max": round(max(cold) * 1000, 1)},
                      "records": RECORDS, "event_bytes": len(event), "first_batch_ms": round(batches[0] * 1000),
                      "warm_batch_ms": [round(b * 1000) for b in batches[1:]],
                      "user_ms_a_batch": round(int(cpu[11]) * 1000 / os.sysconf("SC_CLK_TCK") / BATCHES),
                      "system_ms_a_batch": round(int(cpu[12]) * 1000 / os.sysconf("SC_CLK_TCK") / BATCHES), "peak_rss_mb": int(rss) // 1024}))


if __name__ == "__main__":
    main()
