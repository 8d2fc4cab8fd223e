"""Terraform for the tests: a copy of infra/ with its state beside it, the provider from TF_PLUGIN_DIR where that is set."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENVIRONMENTS = sorted(p.stem for p in (ROOT / "infra" / "environments").glob("*.tfvars"))
PLUGINS = os.environ.get("TF_PLUGIN_DIR")


class Missing(Exception):
    """Why the checks cannot be made on this machine, in a sentence."""


class Terraform:
    def __init__(self, directory, env=None):
        """A ready copy in this directory. Raises Missing where there is no Terraform, or no provider to be had."""
        if not shutil.which("terraform"):
            raise Missing("Terraform is not installed: the checks of infra/ are left out")
        self.root = pathlib.Path(directory) / "infra"
        shutil.copytree(ROOT / "infra", self.root, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
        (self.root / "override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
        self.env = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", **(env or {})}
        self.env.pop("TF_DATA_DIR", None)
        rc = pathlib.Path(directory) / "terraformrc"
        if PLUGINS:
            rc.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{PLUGINS}"\n  }}\n}}\n')
        else:
            rc.write_text("")
        self.env["TF_CLI_CONFIG_FILE"] = str(rc)
        r = self.run("init", "-input=false", check=False)
        if r.returncode and not PLUGINS:
            raise Missing("Terraform cannot download its AWS provider (TF_PLUGIN_DIR names a folder with it): the checks of infra/ are left out")
        assert r.returncode == 0, r.stdout + r.stderr

    def run(self, *args, check=True):
        r = subprocess.run(["terraform", *args, "-no-color"], cwd=self.root, env=self.env, capture_output=True, text=True, timeout=600)
        if check:
            assert r.returncode == 0, f"terraform {' '.join(args)}:\n{r.stdout[-4000:]}{r.stderr[-4000:]}"
        return r

    def plan(self, environment, *more):
        """The plan of an environment from nothing, as JSON."""
        self.run("plan", "-input=false", "-lock=false", f"-state={environment}.none", f"-var-file=environments/{environment}.tfvars", *more, "-out=plan")
        return json.loads(subprocess.run(["terraform", "show", "-json", "plan"], cwd=self.root, env=self.env, capture_output=True, check=True).stdout)


def standin():
    """The stand-in for AWS on a free port: the process and the environment to reach it."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    proc = subprocess.Popen([sys.executable, str(ROOT / "tests" / "standin" / "aws.py"), "-H", "127.0.0.1", "-p", str(port)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(300):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return proc, {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1",
                              "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        time.sleep(0.1)
    proc.kill()
    raise RuntimeError("the stand-in for AWS did not start")


def resources(values):
    """Every resource of planned or applied values, in all modules."""
    def walk(module):
        yield from module.get("resources", [])
        for child in module.get("child_modules", []):
            yield from walk(child)
    return [r for r in walk(values["root_module"]) if r["mode"] == "managed"]
