"""Where credentials come from, each against a local fake of whoever gives them; and that no secret comes out."""
import datetime
import hashlib
import json
import subprocess
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from conftest import AWS_TOOL, INLET, PLAIN

NONE = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}


def iso(seconds):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def resolve(tmp_path):
    """resolve(environment, config=..., credentials=..., profile=...) -> a dict, or the error's (kind, text)."""
    def call(env, config=None, credentials=None, profile=None):
        files = {}
        for name, text, variable in (("config", config, "AWS_CONFIG_FILE"), ("credentials", credentials, "AWS_SHARED_CREDENTIALS_FILE")):
            if text is not None:
                (tmp_path / name).write_text(text)
                files[variable] = str(tmp_path / name)
        r = subprocess.run([AWS_TOOL, "credentials"] + ([profile] if profile else []), capture_output=True, text=True,
                           env={**PLAIN, "HOME": str(tmp_path), **NONE, **files, **env}, timeout=60)
        kind, _, rest = r.stdout.strip().partition(" ")
        return json.loads(rest) if kind == "ok" else (kind, rest)
    return call


def keys(c):
    return c["access_key"], c["secret_key"], c.get("token")


# ---- environment and files

def test_environment_and_files(resolve):
    env = {"AWS_ACCESS_KEY_ID": "envid", "AWS_SECRET_ACCESS_KEY": "envsecret", "AWS_SESSION_TOKEN": "envtoken"}
    files = dict(credentials="[default]\naws_access_key_id = a\naws_secret_access_key=b\n# [x]\n[other]\naws_access_key_id=c\n"
                             "aws_secret_access_key = d=d\naws_session_token=e\n",
                 config="[profile third]\nregion=x\ns3 =\n  aws_access_key_id = nested\naws_access_key_id=f\naws_secret_access_key=g\n")
    assert keys(resolve(env, **files)) == ("envid", "envsecret", "envtoken")
    assert keys(resolve({}, **files)) == ("a", "b", None)
    assert keys(resolve({"AWS_PROFILE": "other"}, **files)) == ("c", "d=d", "e")
    assert keys(resolve(env, **files, profile="third")) == ("f", "g", None)  # a named one goes before the environment
    kind, text = resolve({"AWS_PROFILE": "nobody"}, **files)
    assert kind == "invalid" and "no profile nobody" in text
    kind, text = resolve({})
    assert kind == "invalid" and "AWS_ACCESS_KEY_ID" in text and "role" in text


# ---- credential_process

def test_credential_process(resolve, tmp_path):
    script = tmp_path / "give"
    answer = {"Version": 1, "AccessKeyId": "pid", "SecretAccessKey": "psecret", "SessionToken": "pt", "Expiration": iso(3600)}
    script.write_text(f"#!/bin/sh\nenv > {tmp_path}/seen; ls /proc/self/fd > {tmp_path}/fds; echo \"$1\" > {tmp_path}/arg\n"
                      f"echo '{json.dumps(answer)}'\n")
    script.chmod(0o755)
    config = f"[default]\ncredential_process = {script} \"two words\"\n"
    c = resolve({"INLET_SECRET": "hush", "AWS_ACCESS_KEY_ID": "half a pair", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "hush",
                 "AWS_SESSION_TOKEN": "hush", "SOME_PASSWORD": "hush"}, config=config)
    assert keys(c) == ("pid", "psecret", "pt") and abs(c["expires_ms"] / 1000 - time.time() - 3600) < 60
    assert (tmp_path / "arg").read_text() == "two words\n"
    seen = (tmp_path / "seen").read_text()
    assert "hush" not in seen and "half a pair" not in seen and "PATH=" in seen and "AWS_CONFIG_FILE=" in seen

    def give(text):
        script.write_text(f"#!/bin/sh\n{text}\n")
        return resolve({}, config=config)
    for text, word in (("exit 7", "exit code 7"), ("echo nonsense", "Version"), ("echo '{\"Version\": 2}'", "Version"),
                       ("echo '{\"Version\": 1, \"AccessKeyId\": \"x\"}'", "no set of credentials"), ("kill -9 $$", "137"),
                       ("echo '{\"Version\":1,\"AccessKeyId\":\"x\",\"SecretAccessKey\":\"y\",\"Expiration\":\"never\"}'", "no set of"),
                       ("yes", "too long")):
        kind, got = give(text)
        assert word in got, (text, got)


# ---- containers

def container(expires=3600, token=None):
    def answer(r):
        if token and r.headers.get("Authorization") != token():
            return 401, {}, "{}"
        if r.path != "/creds?id=1":
            return 404, {}, "{}"
        return 200, {}, json.dumps({"AccessKeyId": "cid", "SecretAccessKey": "csecret", "Token": "ct", "Expiration": iso(expires)})
    return answer


def test_container_endpoints(resolve, fake, tmp_path):
    f = fake(container())
    assert keys(resolve({"AWS_CONTAINER_CREDENTIALS_FULL_URI": f.url + "/creds?id=1"})) == ("cid", "csecret", "ct")
    # an EKS pod's token is in a file, and another the next time
    token = tmp_path / "token"
    token.write_text("first\n")
    g = fake(container(token=lambda: token.read_text().strip()))
    env = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": g.url + "/creds?id=1", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token)}
    assert keys(resolve(env))[0] == "cid"
    token.write_text("second")
    assert keys(resolve(env))[0] == "cid" and g.requests[-1].headers["Authorization"] == "second"
    env = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": g.url + "/creds?id=1", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "wrong"}
    kind, text = resolve(env)
    assert kind == "invalid" and "401" in text and "wrong" not in text
    kind, text = resolve({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/x"})
    assert kind == "invalid" and "https://" in text
    for url in ("http://127.0.0.1.example.com/", "http://127.0.0.1@example.com/", "http://localhost.example.com/"):
        assert resolve({"AWS_CONTAINER_CREDENTIALS_FULL_URI": url})[0] == "invalid"
    busy = fake(lambda r: (503, {}, "") if len(busy.requests) < 3 else container()(r))
    assert keys(resolve({"AWS_CONTAINER_CREDENTIALS_FULL_URI": busy.url + "/creds?id=1"}))[0] == "cid"


# ---- an instance

def instance(r):
    if r.path == "/latest/api/token":
        ok = r.method == "PUT" and r.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        return (200, {}, "imdstoken") if ok else (400, {}, "")
    if r.headers.get("X-aws-ec2-metadata-token") != "imdstoken":
        return 401, {}, ""
    base = "/latest/meta-data/iam/security-credentials/"
    if r.path == base:
        return 200, {}, "the-role\n"
    if r.path == base + "the-role":
        return 200, {}, json.dumps({"Code": "Success", "AccessKeyId": "iid", "SecretAccessKey": "isecret", "Token": "it", "Expiration": iso(3600)})
    return 404, {}, ""


def test_instance_metadata(resolve, fake):
    f = fake(instance)
    env = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f.url + "/", "AWS_EC2_METADATA_DISABLED": "false"}
    assert keys(resolve(env)) == ("iid", "isecret", "it")
    assert [r.method for r in f.requests] == ["PUT", "GET", "GET"]
    bare = fake(lambda r: instance(r) if "token" in r.path else (404, {}, ""))
    kind, text = resolve({**env, "AWS_EC2_METADATA_SERVICE_ENDPOINT": bare.url})
    assert kind == "invalid" and "no role" in text
    kind, text = resolve({**env, "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9"})
    assert kind == "invalid" and "no AWS credentials" in text  # not an instance
    assert resolve({**env, "AWS_EC2_METADATA_DISABLED": "TRUE"})[0] == "invalid"


# ---- STS

ASSUMED = ("<AssumeRoleResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><AssumeRoleResult><Credentials>"
           "<AccessKeyId>{0}id</AccessKeyId><SecretAccessKey>{0}secret</SecretAccessKey><SessionToken>{0}token</SessionToken>"
           "<Expiration>{1}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>")
FAULT = "<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code><Message>{}</Message></Error></ErrorResponse>"


def sts(r):
    form = {k: v[0] for k, v in parse_qs(r.body.decode()).items()}
    r.form = form
    name = form["RoleArn"].rsplit("/", 1)[1]
    return 200, {}, ASSUMED.format(name, iso(3600))


ROLES = """[profile base]
aws_access_key_id = baseid
aws_secret_access_key = basesecret
[profile first]
role_arn = arn:aws:iam::1:role/first
source_profile = base
role_session_name = me@here
external_id = the/id
duration_seconds = 1800
region = eu-west-3
[profile second]
role_arn = arn:aws:iam::2:role/second
source_profile = first
[profile self]
role_arn = arn:aws:iam::2:role/self
source_profile = self
aws_access_key_id = selfid
aws_secret_access_key = selfsecret
[profile env]
role_arn = arn:aws:iam::3:role/env
credential_source = Environment
[profile box]
role_arn = arn:aws:iam::3:role/box
credential_source = EcsContainer
[profile ec2]
role_arn = arn:aws:iam::3:role/ec2
credential_source = Ec2InstanceMetadata
[profile odd]
role_arn = arn:aws:iam::3:role/odd
credential_source = Moon
[profile round]
role_arn = arn:aws:iam::3:role/round
source_profile = about
[profile about]
role_arn = arn:aws:iam::3:role/about
source_profile = round
[profile empty]
role_arn = arn:aws:iam::3:role/empty
source_profile = nobody
"""


def signer(r):
    return r.headers["Authorization"].split("Credential=")[1].split("/")[0]


def test_roles(resolve, fake):
    f = fake(sts)
    env = {"AWS_ENDPOINT_URL_STS": f.url}
    ask = lambda profile, **more: resolve({**env, **more}, config=ROLES, profile=profile)
    assert keys(ask("first")) == ("firstid", "firstsecret", "firsttoken")
    q = f.requests[-1]
    assert (q.form["Action"], q.form["RoleSessionName"], q.form["ExternalId"], q.form["DurationSeconds"]) == \
        ("AssumeRole", "me@here", "the/id", "1800")
    assert signer(q) == "baseid" and "/eu-west-3/sts/" in q.headers["Authorization"]
    assert keys(ask("second"))[0] == "secondid"
    assert [signer(q) for q in f.requests[-2:]] == ["baseid", "firstid"]
    assert f.requests[-1].headers["X-Amz-Security-Token"] == "firsttoken"
    assert f.requests[-1].form["RoleSessionName"].startswith("inlet-")
    assert keys(ask("self")) == ("selfid", "selfsecret", "selftoken")
    assert signer(f.requests[-1]) == "selfid"
    assert keys(ask("env", AWS_ACCESS_KEY_ID="eid", AWS_SECRET_ACCESS_KEY="es"))[0] == "envid" and signer(f.requests[-1]) == "eid"
    box = fake(container())
    assert keys(ask("box", AWS_CONTAINER_CREDENTIALS_FULL_URI=box.url + "/creds?id=1"))[0] == "boxid"
    assert signer(f.requests[-1]) == "cid"
    ec2 = fake(instance)
    assert keys(ask("ec2", AWS_EC2_METADATA_SERVICE_ENDPOINT=ec2.url, AWS_EC2_METADATA_DISABLED="false"))[0] == "ec2id"
    assert signer(f.requests[-1]) == "iid"
    for profile, word in (("odd", "Moon"), ("round", "circle"), ("empty", "nobody has no credentials"), ("env", "Environment")):
        kind, text = ask(profile)
        assert kind == "invalid" and word in text, text


def test_sts_refuses_fails_and_comes_back(resolve, fake):
    ask = lambda f: resolve({"AWS_ENDPOINT_URL_STS": f.url}, config=ROLES, profile="first")
    kind, text = ask(fake(lambda r: (403, {}, FAULT.format("AccessDenied", "not you"))))
    assert kind == "invalid" and "role/first" in text and "not you" in text and "allow sts:AssumeRole" in text
    assert "basesecret" not in text
    f = fake(lambda r: sts(r) if len(f.requests) > 2 else (500, {}, FAULT.format("InternalFailure", "x")))
    assert keys(ask(f))[0] == "firstid"
    g = fake(lambda r: sts(r) if len(g.requests) > 1 else (400, {}, FAULT.format("Throttling", "x")))
    assert keys(ask(g))[0] == "firstid"
    kind, text = ask(fake(lambda r: (200, {}, "<html>hello</html>")))
    assert kind == "invalid" and "no set of credentials" in text


def test_a_wrong_clock_does_not_stop_a_role(resolve, fake):
    import email.utils
    ahead = 5 * 3600
    date = lambda: {"Date": email.utils.formatdate(time.time() + ahead, usegmt=True)}

    def answer(r):
        sent = datetime.datetime.strptime(r.headers["X-Amz-Date"] + "+0000", "%Y%m%dT%H%M%SZ%z").timestamp()
        if abs(sent - time.time() - ahead) > 900:
            return 403, date(), FAULT.format("SignatureDoesNotMatch", "Signature expired")
        return sts(r)
    f = fake(answer)
    assert keys(resolve({"AWS_ENDPOINT_URL_STS": f.url}, config=ROLES, profile="first"))[0] == "firstid" and len(f.requests) == 2


def test_web_identity(resolve, fake, tmp_path):
    f = fake(sts)
    token = tmp_path / "jwt"
    token.write_text("the.jwt/token+==\n")
    env = {"AWS_ENDPOINT_URL_STS": f.url, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": "arn:aws:iam::1:role/pod",
           "AWS_ROLE_SESSION_NAME": "pod-1"}
    assert keys(resolve(env)) == ("podid", "podsecret", "podtoken")
    q = f.requests[-1]
    assert (q.form["Action"], q.form["WebIdentityToken"], q.form["RoleSessionName"]) == \
        ("AssumeRoleWithWebIdentity", "the.jwt/token+==", "pod-1")
    assert "Authorization" not in q.headers
    config = f"[profile web]\nrole_arn = arn:aws:iam::1:role/web\nweb_identity_token_file = {token}\n"
    assert keys(resolve({"AWS_ENDPOINT_URL_STS": f.url}, config=config, profile="web"))[0] == "webid"
    kind, text = resolve({**env, "AWS_ROLE_ARN": ""})
    assert kind == "invalid" and "AWS_ROLE_ARN" in text
    kind, text = resolve({**env, "AWS_WEB_IDENTITY_TOKEN_FILE": "/nonexistent"})
    assert kind == "invalid" and "/nonexistent" in text


# ---- SSO

def test_sso(resolve, fake, tmp_path):
    def answer(r):
        q = parse_qs(urlsplit(r.path).query)
        if r.headers.get("x-amz-sso_bearer_token") != "access":
            return 401, {}, "{}"
        assert (q["role_name"], q["account_id"]) == (["The Role"], ["123456789012"])
        return 200, {}, json.dumps({"roleCredentials": {"accessKeyId": "sid", "secretAccessKey": "ssecret", "sessionToken": "st",
                                                        "expiration": int(time.time() * 1000) + 3600000}})
    f = fake(answer)
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    config = ("[profile new]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = The Role\n"
              "[sso-session corp]\nsso_start_url = https://corp.example/start\nsso_region = eu-west-1\n"
              "[profile old]\nsso_start_url = https://old.example/start\nsso_region = eu-west-1\nsso_account_id = 123456789012\n"
              "sso_role_name = The Role\n[profile half]\nsso_start_url = https://x\n")
    env = {"AWS_ENDPOINT_URL_SSO": f.url}
    login = lambda key, expires, token="access": (cache / (hashlib.sha1(key.encode()).hexdigest() + ".json")).write_text(
        json.dumps({"accessToken": token, "expiresAt": expires}))
    kind, text = resolve(env, config=config, profile="new")
    assert kind == "invalid" and "aws sso login --profile new" in text
    login("corp", iso(3600))
    c = resolve(env, config=config, profile="new")
    assert keys(c) == ("sid", "ssecret", "st") and c["expires_ms"] > time.time() * 1000
    login("https://old.example/start", iso(3600).replace("Z", "UTC"))
    assert keys(resolve(env, config=config, profile="old"))[0] == "sid"
    login("corp", iso(-5))
    assert resolve(env, config=config, profile="new")[0] == "invalid"
    login("corp", iso(3600), "stale")
    kind, text = resolve(env, config=config, profile="new")
    assert kind == "invalid" and "401" in text and "stale" not in text
    kind, text = resolve(env, config=config, profile="half")
    assert kind == "invalid" and "sso_role_name" in text


def test_sso_is_renewed(resolve, fake, tmp_path):
    """With the refresh token of an sso-session's login, by SSO OIDC, and written back as the CLI keeps it."""
    good, asked, refusal = {"access"}, [], []

    def portal(r):
        if r.headers.get("x-amz-sso_bearer_token") not in good:
            return 401, {}, "{}"
        return 200, {}, json.dumps({"roleCredentials": {"accessKeyId": "sid", "secretAccessKey": "ssecret", "sessionToken": "st",
                                                        "expiration": int(time.time() * 1000) + 3600000}})

    def oidc(r):
        asked.append(json.loads(r.body))
        if r.path != "/token" or r.method != "POST" or refusal:
            return 400, {}, json.dumps({"error": "invalid_grant"})
        good.add(f"access{len(asked)}")
        return 200, {}, json.dumps({"accessToken": f"access{len(asked)}", "expiresIn": 3600, "refreshToken": f"again{len(asked)}",
                                    "tokenType": "Bearer"})
    p, o = fake(portal), fake(oidc)
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    file = cache / (hashlib.sha1(b"corp").hexdigest() + ".json")
    config = ("[profile new]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = r\n"
              "[sso-session corp]\nsso_start_url = https://corp.example/start\nsso_region = eu-west-1\n")
    env = {"AWS_ENDPOINT_URL_SSO": p.url, "AWS_ENDPOINT_URL_SSO_OIDC": o.url}
    ask = lambda: resolve(env, config=config, profile="new")
    token = {"startUrl": "https://corp.example/start", "region": "eu-west-1", "accessToken": "stale", "expiresAt": iso(-60),
             "clientId": "cid", "clientSecret": "csecret", "registrationExpiresAt": iso(86400), "refreshToken": "again0"}

    def login(**other):
        file.write_text(json.dumps({**token, **other}))
        file.chmod(0o600)
    login()
    assert keys(ask())[0] == "sid"
    assert asked == [{"grantType": "refresh_token", "clientId": "cid", "clientSecret": "csecret", "refreshToken": "again0"}]
    kept = json.loads(file.read_text())
    assert kept == {**token, "accessToken": "access1", "expiresAt": kept["expiresAt"], "refreshToken": "again1"}
    left = datetime.datetime.strptime(kept["expiresAt"] + "+0000", "%Y-%m-%dT%H:%M:%SZ%z").timestamp() - time.time()
    assert 3500 < left <= 3601 and file.stat().st_mode & 0o777 == 0o600 and len(list(cache.iterdir())) == 1
    assert keys(ask())[0] == "sid" and len(asked) == 1  # good for an hour
    # about to expire: renewed too, but what is still good is used where that fails
    login(accessToken="access", expiresAt=iso(300))
    assert keys(ask())[0] == "sid" and len(asked) == 2 and json.loads(file.read_text())["accessToken"] == "access2"
    refusal.append(1)
    login(accessToken="access", expiresAt=iso(300))
    assert keys(ask())[0] == "sid" and len(asked) == 3 and json.loads(file.read_text())["accessToken"] == "access"
    # cannot be renewed: refused, its registration over, no refresh token
    for n, other in ((4, {}), (4, {"registrationExpiresAt": iso(-1)}), (4, {"refreshToken": None})):
        login(**other)
        kind, text = ask()
        assert kind == "invalid" and "aws sso login --profile new" in text and len(asked) == n, (other, text, len(asked))
        assert "csecret" not in text and "again0" not in text


# ---- endpoints

def test_configured_endpoints(store, fake, tmp_path):
    """The environment's go before the profile's services, those before its own; all of them may be switched off."""
    made = {name: fake(lambda r: (200, {"ETag": '"x"'}, "")) for name in ("env", "all", "services", "profile")}
    url = {name: f.url for name, f in made.items()}
    config = tmp_path / "config"
    config.write_text(f"[profile one]\nservices = local\nregion = eu-west-1\nendpoint_url = {url['profile']}\ns3 =\n"
                      f"  endpoint_url = http://127.0.0.1:9\n[profile two]\nregion = eu-west-1\nendpoint_url = {url['profile']}\n"
                      f"[services other]\ns3 =\n  endpoint_url = http://127.0.0.1:9\n[services local]\n# a comment\n"
                      f"kinesis =\n  endpoint_url = http://127.0.0.1:9\ns3 =\n\n  # of the buckets\n  addressing_style = path\n"
                      f"  endpoint_url = {url['services']}/\ndynamodb =\n  endpoint_url = http://127.0.0.1:9\n"
                      f"[profile off]\nservices = local\nignore_configured_endpoint_urls = true\nregion = eu-west-1\n"
                      f"endpoint_url = {url['profile']}\n")
    base = {**NONE, "AWS_CONFIG_FILE": str(config), "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}

    def answers(**env):
        before = {name: len(f.requests) for name, f in made.items()}
        s = store("s3://bucket/x", {**base, **env})
        s("put", "k", 1, 1)
        return [name for name, f in made.items() if len(f.requests) > before[name]]
    assert answers(AWS_PROFILE="one") == ["services"]
    assert answers(AWS_PROFILE="two") == ["profile"]
    assert answers(AWS_PROFILE="one", AWS_ENDPOINT_URL=url["all"]) == ["all"]
    assert answers(AWS_PROFILE="one", AWS_ENDPOINT_URL=url["all"], AWS_ENDPOINT_URL_S3=url["env"]) == ["env"]
    assert answers(AWS_PROFILE="one", AWS_ENDPOINT_URL_DYNAMODB=url["env"]) == ["services"]
    proxy = fake(lambda r: (407, {}, ""))  # AWS's own endpoint is what is asked for then
    for env in ({"AWS_PROFILE": "off"}, {"AWS_PROFILE": "one", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ENDPOINT_URL": url["all"]}):
        del proxy.requests[:]
        p = subprocess.Popen([AWS_TOOL, "store", "s3://bucket/x"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, env={**PLAIN, **base, **env, "HTTPS_PROXY": proxy.url})
        p.stdin.write(b"put k 1 1\n")
        p.stdin.flush()
        until = time.monotonic() + 30
        while not proxy.requests and time.monotonic() < until:
            time.sleep(0.02)
        p.kill()
        p.communicate()
        assert {r.path for r in proxy.requests} == {"bucket.s3.eu-west-1.amazonaws.com:443"}, env


def test_the_endpoint_of_a_role(resolve, fake, tmp_path):
    f = fake(sts)
    config = ROLES + f"[profile local]\nrole_arn = arn:aws:iam::1:role/local\nsource_profile = base\nservices = s\n" \
        f"[services s]\nsts =\n  endpoint_url = {f.url}/\n"
    assert keys(resolve({}, config=config, profile="local"))[0] == "localid" and len(f.requests) == 1


# ---- renewal

def test_keys_are_renewed_before_they_expire(fake, store):
    """Good for a few seconds only: requests go on, signed by ever new keys, and none by one that has expired."""
    given = []

    def give(r):
        given.append(time.time() + 18)  # less than what asks for a renewal, more than the last moment
        return 200, {}, json.dumps({"AccessKeyId": f"k{len(given)}", "SecretAccessKey": "s", "Token": "t", "Expiration": iso(18)})
    giver, late = fake(give), []

    def s3(r):
        k = int(signer(r)[1:])
        if time.time() > given[k - 1] + 1:
            late.append(k)
        return 200, {"ETag": '"x"'}, ""
    f = fake(s3)
    s = store("s3://bucket/x", {**NONE, "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": f.url,
                                "AWS_CONTAINER_CREDENTIALS_FULL_URI": giver.url + "/"})
    for i in range(12):
        assert s("put", f"k{i}", 1, 1) == ("ok", "")
        time.sleep(0.5)
    assert 2 <= len(given) <= 12 and not late and len({signer(r) for r in f.requests}) >= 2


# ---- secrets

def test_no_secret_comes_out(tmp_path, aws, faults):
    """Debug logs, errors of all kinds, `inlet config` and a core's command line: no key, no token."""
    secret, token = "SECRETsecretSECRET", "TOKENtokenTOKEN"
    (tmp_path / "e.ndjson").write_text('{"event_uuid":"1","event_name":"a","created_at":1795485784}\n')
    out = ""

    def run(*args, **env):
        r = subprocess.run([INLET, *args], capture_output=True, text=True, timeout=60, cwd=tmp_path, env={
            **PLAIN, **NONE, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token,
            "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": faults.url, **env})
        return r.stdout + r.stderr
    load = ("load", "--log-level", "debug", "--lake", "s3://nobodys-bucket/x", "--catalog", "sqlite:c.db", "e.ndjson")
    out += run(*load)
    for code, status in (("AccessDenied", 403), ("SignatureDoesNotMatch", 403), ("ExpiredToken", 400)):
        faults.clear()
        faults.add({"fault": "status", "status": status, "code": code})
        out += run(*load) + run("run", "--log-level", "debug", "--stream", "kinesis://x", "--lake", "lake")
    out += run("config") + run("config", "--json")
    assert "AccessDenied" in out and "nobodys-bucket" in out
    assert secret not in out and token not in out
