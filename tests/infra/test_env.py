"""make env-*: what is missing or wrong is said in one line, before anything is made or deleted."""
import os
import pathlib
import shutil
import subprocess
import sys

import boto3
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tf  # noqa: E402

sys.path.insert(0, str(tf.ROOT / "tools"))
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


def test_a_plan_before_anything_is_there():
    proc, aws = tf.standin()
    try:
        code, out, err = env_sh("plan", "dev", **aws)
        if "Failed to query available provider packages" in err:
            pytest.skip("the AWS provider cannot be had")
        assert code == 0 and " to add, 0 to change, 0 to destroy" in out and "nothing of it is there yet" in out, (out[-2000:], err)
        assert not (tf.ROOT / "build" / "env" / "dev" / "new").exists()
        one_line(env_sh("output", "dev", **aws), "does not exist in account 123456789012")
    finally:
        proc.terminate()
        proc.wait()


def test_no_environment_and_a_wrong_one():
    for args in (("up",), ("up", "moon"), ("down", "../dev"), ("plan", "")):
        one_line(env_sh(*args), "ENV=one of: dev huge local prod small staging")


def test_names_that_aws_refuses():
    for project in ("Inlet", "x", "a_b", "in--let", "far-too-long-a-name", "-a", "9lives"):
        one_line(env_sh("up", "dev", PROJECT=project), "PROJECT is 3 to 16 of")


def test_no_terraform(tmp_path):
    for name in ("bash", "sed", "ls", "dirname", "tr"):
        (tmp_path / name).symlink_to(shutil.which(name))
    one_line(env_sh("up", "dev", PATH=str(tmp_path)), "Terraform 1.11 or newer is needed")


def test_nothing_to_build_an_image_with(tmp_path):
    """Said before anything is made but the state's bucket."""
    for name in ("docker", "buildah"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "buildah").unlink()
    elsewhere = ":".join(d for d in os.environ["PATH"].split(":") if not (pathlib.Path(d) / "buildah").exists())
    for name in ("bash", "dirname", "python3", "git", "sed", "sort", "head", "tr", "cat", "mkdir", "rm", "cut", "grep", "tail", "sha256sum", "env", "terraform"):
        (tmp_path / name).symlink_to(shutil.which(name))
    proc, aws = tf.standin()
    try:
        code, out, err = env_sh("up", "dev", PATH=f"{tmp_path}:{elsewhere}", **aws)
        if "Failed to query available provider packages" in err:
            pytest.skip("the AWS provider cannot be had")
        assert code == 1 and err.startswith("env: image: docker (its daemon running) or buildah is needed") and err.count("\n") == 1, (out, err)
        assert boto3.client("ecr", endpoint_url=aws["AWS_ENDPOINT_URL"], region_name="eu-west-1", aws_access_key_id="test",
                            aws_secret_access_key="test").describe_repositories()["repositories"] == []
    finally:
        proc.terminate()
        proc.wait()


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


def test_a_service_that_does_not_come_up_says_what_ecs_said(monkeypatch):
    """As where a region has no Fargate on Arm: the waiter gives up, and its own words tell nobody anything."""
    import aws
    from botocore.exceptions import WaiterError

    class Ecs:
        def get_waiter(self, _):
            return self

        def wait(self, **_):
            raise WaiterError("ServicesStable", "Max attempts exceeded", {})

        def describe_services(self, **_):
            return {"services": [{"events": [{"message": "(service inlet) was unable to place a task: no ARM64"}]}]}
    monkeypatch.setattr(aws.boto3, "client", lambda _: Ecs())
    with pytest.raises(SystemExit) as end:
        aws.main("settle", "inlet-dev", "inlet")
    assert "unable to place a task: no ARM64" in str(end.value) and "\n" not in str(end.value)
