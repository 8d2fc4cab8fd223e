"""make env-*: what is missing or wrong is said in one line, before anything is made or deleted."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tf  # noqa: E402

NO_AWS = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}


def env_sh(*args, answer="", **env):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    r = subprocess.run(["tools/env.sh", *args], cwd=tf.ROOT, input=answer, env={**kept, **NO_AWS, **env}, capture_output=True, text=True, timeout=120)
    return r.returncode, r.stdout, r.stderr


@pytest.fixture(autouse=True)
def terraform():
    if not shutil.which("terraform"):
        pytest.skip("Terraform is not installed")


def one_line(said, word):
    code, _, text = said
    assert code == 1 and text.startswith("env: ") and text.count("\n") == 1 and word in text, said


def test_no_environment_and_a_wrong_one():
    for args in (("up",), ("up", "moon"), ("down", "../dev"), ("plan", "")):
        one_line(env_sh(*args), "ENV=one of: dev huge local prod small staging")


def test_no_terraform(tmp_path):
    for name in ("bash", "sed", "ls", "dirname", "tr"):
        (tmp_path / name).symlink_to(shutil.which(name))
    one_line(env_sh("up", "dev", PATH=str(tmp_path)), "Terraform 1.11 or newer is needed")


def test_an_old_terraform(tmp_path):
    (tmp_path / "terraform").write_text("#!/bin/sh\necho Terraform v1.5.7\n")
    (tmp_path / "terraform").chmod(0o755)
    one_line(env_sh("up", "dev", PATH=f"{tmp_path}:{os.environ['PATH']}"), "this is 1.5")


def test_no_credentials_and_no_region():
    one_line(env_sh("up", "dev", AWS_REGION="eu-west-1"), "no AWS credentials")
    one_line(env_sh("plan", "prod", AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="y"), "no AWS region")


def test_local_that_does_not_run():
    if (tf.ROOT / "build" / "env" / "local" / "standin.json").exists():
        pytest.skip("a local environment runs")
    one_line(env_sh("plan", "local"), "make env-up ENV=local")


def test_a_protected_environment_asks_before_it_goes():
    proc, aws = tf.standin()
    try:
        for answer in ("", "yes\n", "dev\n"):
            code, out, err = env_sh("down", "prod", answer=answer, **aws)
            assert code == 1 and "nothing was deleted" in err and "123456789012" in out, (out, err)
        one_line(env_sh("down", "prod", answer="prod\n", **aws), "does not exist in account 123456789012")
    finally:
        proc.terminate()
        proc.wait()
