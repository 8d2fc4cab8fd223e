"""Requests are signed as botocore signs them: 10,000 random ones for each service."""
import datetime
import hashlib
import json
import random
import subprocess
from urllib.parse import quote, urlsplit

import pytest

from conftest import AWS_TOOL

N = 10000
NOW = datetime.datetime(2026, 11, 24, 2, 3, 4, tzinfo=datetime.timezone.utc)
TEXT = "abcXYZ019-._~ /+%&=?#:;,!*'()@$[]{}|\\^`<>\"\tñ文é"


def text(r, most, alphabet=TEXT):
    return "".join(r.choice(alphabet) for _ in range(r.randrange(most)))


def request(r, service):
    """A request as such a client makes it: (method, path, query, headers, body)."""
    headers = {"X-Custom-" + str(i): text(r, 20, "ab  c\t") + "x" for i in range(r.randrange(3))}
    if service != "s3":
        form = service == "sts"
        headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8" if form else "application/x-amz-json-1.1"
        if not form:
            headers["X-Amz-Target"] = service + "_20131202." + text(r, 12, "abcXYZ")
        return "POST", "/", "", headers, text(r, 200).encode()
    method = r.choice(["GET", "PUT", "HEAD", "DELETE", "POST"])
    # botocore's own folding of white space in values is left to the services above
    headers = {k: v.strip() for k, v in headers.items()}
    path = "/bucket/" + quote(text(r, 30), safe="/~")
    params = [(text(r, 10, TEXT.replace("\t", "")) or "p", text(r, 10)) for _ in range(r.randrange(4))]
    query = "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in params)
    return method, path, query, headers, text(r, 100).encode() if method in ("PUT", "POST") else b""


def as_botocore(service, region, keys, method, url, headers, data):
    from botocore import auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    signer = (auth.S3SigV4Auth if service == "s3" else auth.SigV4Auth)(Credentials(*keys), service, region)
    q = AWSRequest(method=method, url=url, headers=headers, data=data)
    q.context["payload_signing_enabled"] = True
    signer.add_auth(q)
    return q.headers


@pytest.mark.parametrize("service", ["s3", "kinesis", "glue", "dynamodb", "sts"])
def test_as_botocore(service, monkeypatch):
    from botocore import auth
    if hasattr(auth, "get_current_datetime"):
        monkeypatch.setattr(auth, "get_current_datetime", lambda *a, **k: NOW.replace(tzinfo=None))
    else:
        class Frozen(datetime.datetime):
            @classmethod
            def utcnow(cls):
                return NOW.replace(tzinfo=None)
        monkeypatch.setattr(auth.datetime, "datetime", Frozen)
    r = random.Random(service)
    lines, expected = [], []
    for _ in range(N):
        method, path, query, headers, data = request(r, service)
        region = r.choice(["eu-west-1", "us-gov-west-1", "cn-north-1"])
        keys = (text(r, 20, "ABC123") + "A", text(r, 40, "abc/+Z09") + "s", r.choice([None, text(r, 60, "abc/+=Z09") + "t"]))
        host = f"{service}.{region}.amazonaws.com"
        url = f"https://{host}{path}" + ("?" + query if query else "")
        theirs = as_botocore(service, region, keys, method, url, dict(headers), data)
        expected.append(theirs["Authorization"])
        ours = [["Host", host]] + [[k, v] for k, v in headers.items()]
        if service == "s3":
            ours.append(["X-Amz-Content-SHA256", hashlib.sha256(data).hexdigest()])
        parts = urlsplit(url)
        lines.append(json.dumps({"service": service, "region": region, "method": method, "path": path, "query": parts.query,
                                 "headers": ours, "payload_hash": hashlib.sha256(data).hexdigest(), "time": int(NOW.timestamp()),
                                 "access_key": keys[0], "secret_key": keys[1], "token": keys[2]}))
    got = subprocess.run([AWS_TOOL, "sign"], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    got = got.stdout.splitlines()
    wrong = [(l, g, e) for l, g, e in zip(lines, got, expected) if g != e]
    assert len(got) == N and not wrong, (len(wrong), wrong[0])
