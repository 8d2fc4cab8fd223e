"""The S3 store against a local S3 (moto, its gaps closed) and, with S3_TEST_ENDPOINT, against a real server: what
is put is there whole or not at all, under faults too; every mistake has a clear answer."""
import base64
import hashlib
import json
import socket
import threading
import time
import uuid

import pytest

from conftest import REAL_S3, make_bucket

standin_only = pytest.mark.skipif(bool(REAL_S3), reason="needs the stand-in")
AUTO, PATH, VIRTUAL = 0, 1, 2


def body(n, seed):
    x, out = (seed * 2654435761 + 1) & 0xffffffff, bytearray()
    for _ in range(n):
        x = (x * 1664525 + 1013904223) & 0xffffffff
        out.append(x >> 24)
    return bytes(out)


def shown(n, seed):
    b = body(n, seed)
    return "ok", f"{n} {hashlib.sha256(b).hexdigest()}"


class Place:
    def __init__(self, aws, faults):
        self.env, self.faulty_env, self.faults = aws[1], {**aws[1], "AWS_ENDPOINT_URL": faults.url}, faults
        self.bucket = "b" + uuid.uuid4().hex[:12]
        make_bucket(aws, self.bucket)
        self.s3 = aws[0]("s3", s3={"addressing_style": "path"})
        self.uri = f"s3://{self.bucket}/the lake"

    def keys(self):
        return [o["Key"] for o in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]


@pytest.fixture
def place(aws, faults):
    return Place(aws, faults)


# ---- what a store is

def test_put_get_size_range_remove(place, store):
    s = store(place.uri, place.env)
    assert s("put", "a/b", 1000, 7) == ("ok", "")
    assert s("put", "a/b", 1000, 8)[0] == "conflict"
    assert s("get", "a/b", 1000) == shown(1000, 7)
    assert s("get", "a/b", 999)[0] == "nomem"
    assert s("put", "empty", 0, 0) == ("ok", "") and s("get", "empty", 10) == shown(0, 0)
    assert s("size", "a/b") == ("ok", "1000")
    assert s("range", "a/b", 10, 20) == ("ok", f"20 {hashlib.sha256(body(1000, 7)[10:30]).hexdigest()}")
    assert s("range", "a/b", 0, 0) == ("ok", f"0 {hashlib.sha256(b'').hexdigest()}")
    kind, text = s("range", "a/b", 990, 11)
    assert kind == "invalid" and "ends before offset 1001" in text
    assert s("get", "absent", 10)[0] == s("size", "absent")[0] == s("range", "absent", 0, 1)[0] == "notfound"
    assert place.s3.get_object(Bucket=place.bucket, Key="the lake/a/b")["Body"].read() == body(1000, 7)
    assert s("remove", "a/b") == s("remove", "a/b") == ("ok", "")
    assert place.keys() == ["the lake/empty"]


def test_strange_keys(place, store):
    s = store(place.uri, place.env)
    keys = ["with space", "per%cent", "per%2Fcent", "a+b", "ünïcödé/文件", "q?x=y&z", "semi;colon", "quote'\"",
            "a=b/c=2026-11-22", "tilde~(x)!*", "<&>", "back\\slash", "#hash", "@:,$"]
    for i, key in enumerate(keys):
        assert s("put", key, 100 + i, i) == ("ok", ""), key
    for i, key in enumerate(keys):
        assert s("get", key, 1000) == shown(100 + i, i), key
        assert place.s3.get_object(Bucket=place.bucket, Key="the lake/" + key)["Body"].read() == body(100 + i, i), key
    assert sorted(o["key"] for o in json.loads(s("list", "")[1])) == sorted(keys)
    assert s("remove_all", *keys) == ("ok", "")
    assert place.keys() == []
    for bad in ("/a", "a//b", "../a", "a/../b", "x" * 1025):
        assert s("put", bad, 1, 1)[0] == "invalid"


def test_listing_has_pages_and_a_prefix_of_its_own(place, store):
    s = store(place.uri, place.env)
    assert s("put_all", 1150, 3, "p/") == ("ok", "")
    place.s3.put_object(Bucket=place.bucket, Key="the lake2/x", Body=b"no")
    place.s3.put_object(Bucket=place.bucket, Key="the lakep/x", Body=b"no")
    got = json.loads(s("list", "")[1])
    assert sorted(o["key"] for o in got) == sorted(f"p/{i}" for i in range(1150))
    assert all(o["bytes"] == 3 and abs(o["modified_ms"] - time.time() * 1000) < 3600e3 for o in got)
    assert len(json.loads(s("list", "p/11")[1])) == 1 + 10 + 50
    etag = next(o["etag"] for o in got if o["key"] == "p/7")
    assert s("read", "p/7", etag, 1, 100) == ("ok", f"2 {hashlib.sha256(body(3, 7)[1:]).hexdigest()}")
    assert s("read", "p/7", etag, 3, 100)[1].startswith("0 ")
    assert s("read", "p/7", "0" * 32, 0, 100)[0] == "conflict"


def test_a_stream_of_parts(place, store):
    s = store(place.uri, place.env)
    for n in (0, 5, (8 << 20), (8 << 20) + 1, (24 << 20) + 3):
        assert s("create", f"s{n}", n, 3) == ("ok", "")
        assert s("size", f"s{n}") == ("ok", str(n))
    assert hashlib.sha256(place.s3.get_object(Bucket=place.bucket, Key=f"the lake/s{(24 << 20) + 3}")["Body"].read()).hexdigest() == \
        s("get", f"s{(24 << 20) + 3}", 64 << 20)[1].split()[1]
    if not REAL_S3:  # Ceph of Debian 12 does not look at If-None-Match there
        assert s("create", f"s{(8 << 20) + 1}", 9 << 20, 4)[0] == "conflict"
    assert place.s3.list_multipart_uploads(Bucket=place.bucket).get("Uploads", []) == []


@standin_only
def test_encryption_is_asked_for(place, store):
    kms = "arn:aws:kms:eu-west-1:123456789012:key/1234"
    assert store(place.uri, place.env, AUTO, 0, "AES256")("put", "s3", 10, 1) == ("ok", "")
    s = store(place.uri, place.env, AUTO, 0, "aws:kms", kms)
    assert s("put", "kms", 10, 1) == ("ok", "") and s("create", "kms-parts", 9 << 20, 1) == ("ok", "")
    head = lambda k: place.s3.head_object(Bucket=place.bucket, Key="the lake/" + k)
    assert head("s3")["ServerSideEncryption"] == "AES256"
    assert head("kms")["SSEKMSKeyId"] == head("kms-parts")["SSEKMSKeyId"] == kms


# ---- faults

def test_throttling_and_errors_are_waited_out(place, store):
    place.faults.add({"fault": "status", "status": 503, "code": "SlowDown", "path": "a$", "times": 4},
                     {"fault": "status", "status": 500, "code": "InternalError", "path": "b$", "times": 2},
                     {"fault": "reset", "path": "c$", "times": 2},
                     {"fault": "status", "status": 409, "code": "ConditionalRequestConflict", "path": "d$", "times": 1})
    s = store(place.uri, place.faulty_env)
    for key in "abcd":
        assert s("put", key, 1000, 1) == ("ok", "")
        assert s("get", key, 1000) == shown(1000, 1)
    err = s.close()
    assert err.count("trying again") == 1 and "SlowDown" in err and "answers again" in err


def test_what_does_not_pass_is_an_error_in_time(place, store):
    place.faults.add({"fault": "status", "status": 503, "code": "SlowDown"})
    s = store(place.uri, place.faulty_env, AUTO, 1500)
    kind, text = s("put", "a", 10, 1)
    assert kind == "retry" and "SlowDown" in text and "PutObject" in text
    place.faults.clear()
    place.faults.add({"fault": "status", "status": 500, "method": "PUT"})
    kind, text = s("put", "b", 10, 1)
    assert kind == "unknown"  # a 500 does not say that nothing happened
    place.faults.clear()
    assert s("put", "b", 10, 1) == ("ok", "")


@pytest.mark.parametrize("fault", ["lost", "after"])
def test_a_put_whose_answer_is_lost_is_ours(place, store, fault):
    place.faults.add({"fault": fault, "method": "PUT", "times": 1})
    s = store(place.uri, place.faulty_env)
    assert s("put", "a", 1000, 1) == ("ok", "")  # it was there: ours
    assert place.s3.get_object(Bucket=place.bucket, Key="the lake/a")["Body"].read() == body(1000, 1)
    place.faults.clear()
    place.s3.put_object(Bucket=place.bucket, Key="the lake/b", Body=b"somebody's")
    place.faults.add({"fault": "status", "status": 500, "method": "PUT", "times": 1})
    assert s("put", "b", 1000, 1)[0] == "conflict"  # it was there: not ours
    assert place.s3.get_object(Bucket=place.bucket, Key="the lake/b")["Body"].read() == b"somebody's"


@pytest.mark.parametrize("path,fault", [("uploads", "lost"), ("partNumber=2", "lost"), ("partNumber=1", "reset"),
                                        ("[?]uploadId", "lost"), ("[?]uploadId", "after"), ("partNumber", "after")])
def test_a_stream_survives_lost_answers(place, store, path, fault):
    place.faults.add({"fault": fault, "path": path, "times": 1})
    s = store(place.uri, place.faulty_env)
    n = (17 << 20) + 1
    assert s("create", "a", n, 5) == ("ok", "")
    whole = s("get", "a", 64 << 20)
    assert whole[1].startswith(f"{n} ")
    assert s("create", "b", n, 5) == ("ok", "") and s("get", "b", 64 << 20) == whole  # without the fault
    assert place.faults.rules()[0]["struck"] == 1


def test_a_stream_that_fails_leaves_nothing(place, store):
    place.faults.add({"fault": "status", "status": 403, "code": "AccessDenied", "path": "partNumber=2"})
    s = store(place.uri, place.faulty_env)
    assert s("create", "a", 20 << 20, 5)[0] == "invalid"
    assert place.keys() == [] and place.s3.list_multipart_uploads(Bucket=place.bucket).get("Uploads", []) == []


def test_damaged_and_cut_answers_are_read_again(place, store):
    s = store(place.uri, place.faulty_env)
    assert s("put", "a", 100000, 1) == ("ok", "")
    for fault in ("corrupt", "truncate", "reset"):
        place.faults.clear()
        place.faults.add({"fault": fault, "method": "GET", "times": 1})
        assert s("get", "a", 100000) == shown(100000, 1), fault
        assert place.faults.rules()[0]["struck"] == 1
    place.faults.clear()
    place.faults.add({"fault": "corrupt", "method": "GET"})
    kind, text = s("get", "a", 100000)
    assert kind == "io" and "checksum" in text
    place.faults.clear()
    place.faults.add({"fault": "truncate", "method": "GET", "times": 1})
    assert s("range", "a", 5, 1000) == ("ok", f"1000 {hashlib.sha256(body(2000, 1)[5:1005]).hexdigest()}")


def crc(data, polynomial, bits):
    """A bit at a time, reflected: (n big-endian bytes, as base64)."""
    c = ones = (1 << bits) - 1
    for byte in data:
        c ^= byte
        for _ in range(8):
            c = c >> 1 ^ (polynomial if c & 1 else 0)
    return base64.b64encode((c ^ ones).to_bytes(bits // 8, "big")).decode()


def test_checksums_of_every_sort(fake, store):
    """What S3 kept of objects that others put: compared whichever it is; of a multipart upload's parts it says nothing."""
    content = body(5000, 3)
    sums = {"crc32": crc(content, 0xEDB88320, 32), "crc32c": crc(content, 0x82F63B78, 32),
            "crc64nvme": crc(content, 0x9A6C9329AC4BC9B5, 64),
            "sha1": base64.b64encode(hashlib.sha1(content).digest()).decode(),
            "sha256": base64.b64encode(hashlib.sha256(content).digest()).decode()}
    given = {}

    def answer(r):
        assert r.headers["x-amz-checksum-mode"] == "ENABLED"
        return 200, {"ETag": '"x"', **given}, content if "damaged" not in r.path else content[:-1] + bytes([content[-1] ^ 1])
    f = fake(answer)
    s = store("s3://bucket/x", {"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": f.url, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"})
    good = ("ok", f"5000 {hashlib.sha256(content).hexdigest()}")
    for name, value in sums.items():
        for headers in ({}, {"x-amz-checksum-type": "FULL_OBJECT"}):
            given = {f"x-amz-checksum-{name}": value, **headers}
            assert s("get", "a", 5000) == good, name
            assert s("get", "damaged", 5000)[0] == "io", name
        wrong = base64.b64encode(bytes(len(base64.b64decode(value)))).decode()
        given = {f"x-amz-checksum-{name}": wrong}
        assert s("get", "a", 5000)[0] == "io", name
        given = {f"x-amz-checksum-{name}": wrong + "-2"}  # of the parts' checksums
        assert s("get", "a", 5000) == good, name
        given = {f"x-amz-checksum-{name}": wrong, "x-amz-checksum-type": "COMPOSITE"}
        assert s("get", "a", 5000) == good, name
    given = {"x-amz-checksum-of-tomorrow": "AAAA"}
    assert s("get", "a", 5000) == good


def test_one_of_many_put_together_fails(place, store):
    place.faults.add({"fault": "status", "status": 403, "code": "AccessDenied", "path": "x7$"})
    kind, text = store(place.uri, place.faulty_env)("put_all", 10, 100, "x")
    assert kind == "invalid" and "x7" in text and "s3:PutObject" in text and place.bucket in text


def test_two_put_one_key_at_once(place, store):
    a, b = store(place.uri, place.env), store(place.uri, place.env)
    for i in range(10):
        got = [None, None]

        def put(n, s):
            got[n] = s("put", f"k{i}", 1000, n)[0]
        threads = [threading.Thread(target=put, args=(n, s)) for n, s in enumerate((a, b))]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert sorted(got) == ["conflict", "ok"]
        assert a("get", f"k{i}", 1000) == shown(1000, got.index("ok"))


# ---- mistakes and what becomes of them

def test_no_such_bucket(place, store):
    kind, text = store("s3://no-such-bucket-anywhere/x", place.env)("put", "a", 1, 1)
    assert kind == "invalid" and "NoSuchBucket" in text and "create it" in text


def test_wrong_uris(place, store):
    for uri in ("s3://", "s3:///x", "s3://a", "s3://b ad/x", "s3://x/../y"):
        assert store(uri, place.env).proc.stdout.readline().startswith(b"invalid"), uri


@standin_only
@pytest.mark.parametrize("code,status,word", [("AccessDenied", 403, "allow s3:PutObject on arn:aws:s3:::"),
                                              ("InvalidAccessKeyId", 403, "credentials were refused"),
                                              ("SignatureDoesNotMatch", 403, "credentials were refused"),
                                              ("NotImplemented", 501, "If-None-Match")])
def test_refusals_say_what_to_do(place, store, code, status, word):
    place.faults.add({"fault": "status", "status": status, "code": code})
    began = time.time()
    kind, text = store(place.uri, place.faulty_env)("put", "a", 1, 1)
    assert kind == "invalid" and code in text and word in text, text
    assert "test" not in text.replace("as the test has it", "").split(), text  # the secret


def test_an_endpoint_that_is_not_s3(fake, store):
    env = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    page = fake(lambda r: (200, {"Content-Type": "text/html"}, "<html><body>Welcome!</body></html>"))
    s = store("s3://bucket/x", {**env, "AWS_ENDPOINT_URL": page.url})
    for words in (("put", "a", 1, 1), ("get", "a", 10), ("list", "")):
        kind, text = s(*words)
        assert kind == "invalid" and "does the endpoint" in text, text
    lost = fake(lambda r: (404, {"Content-Type": "text/html"}, "<html><body>not here</body></html>"))
    kind, text = store("s3://bucket/x", {**env, "AWS_ENDPOINT_URL": lost.url})("get", "a", 10)
    assert kind == "invalid" and "does the endpoint" in text, text


def certified(tmp_path, name):
    """(A server's TLS context, the file of its certificate) for this name."""
    import ssl
    import subprocess
    key, cert = tmp_path / "key", tmp_path / "cert"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", "/CN=inlet", "-addext", f"subjectAltName={name}"], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    return tls, cert


def test_a_server_whose_certificate_does_not_verify(fake, store, tmp_path):
    tls, cert = certified(tmp_path, "IP:127.0.0.1")
    f = fake(lambda r: (200, {"ETag": '"x"'}, ""), tls=tls)
    env = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": f.url}
    kind, text = store("s3://bucket/x", env)("put", "a", 1, 1)
    assert kind == "invalid" and "certificate" in text and "AWS_CA_BUNDLE" in text and not f.requests
    assert store("s3://bucket/x", {**env, "AWS_CA_BUNDLE": str(cert)})("put", "a", 1, 1) == ("ok", "")


def test_a_name_that_does_not_resolve(store):
    env = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    kind, text = store("s3://bucket/x", {**env, "AWS_ENDPOINT_URL": "http://no-such-host.invalid"}, AUTO, 700)("put", "a", 1, 1)
    assert kind == "retry" and "resolve" in text


def test_a_proxy_is_used(place, fake, store):
    """HTTPS_PROXY: the proxy is asked for a tunnel to the bucket's host, and its refusal is told."""
    p = fake(lambda r: (403, {}, "no"))
    env = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "HTTPS_PROXY": p.url}
    kind, text = store("s3://bucket-name/x", env, AUTO, 300)("get", "a", 10)
    assert kind in ("retry", "unknown") and "403" in text
    assert p.requests[0].method == "CONNECT" and p.requests[0].path == "bucket-name.s3.eu-west-1.amazonaws.com:443"
    store("s3://dots.in.name/x", env, AUTO, 300)("get", "a", 10)
    assert p.requests[-1].path == "s3.eu-west-1.amazonaws.com:443"  # no certificate fits dots in a bucket's name


class Tunnel:
    """A proxy whose tunnels all lead to one port here; it may want a name and a password."""

    def __init__(self, to, user=None):
        self.to, self.want, self.asked = to, user and "Basic " + base64.b64encode(user.encode()).decode(), []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                threading.Thread(target=self.one, args=(self.socket.accept()[0],), daemon=True).start()
            except OSError:
                return

    def one(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            got = client.recv(4096)
            if not got:
                return
            head += got
        lines = head.decode().split("\r\n")
        self.asked.append(lines[0].split()[1])
        if self.want and f"Proxy-Authorization: {self.want}" not in lines:
            client.sendall(b"HTTP/1.1 407 who?\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n")
            client.close()
            return
        server = socket.create_connection(("127.0.0.1", self.to))
        client.sendall(b"HTTP/1.1 200 go on\r\n\r\n")

        def pump(a, b):
            try:
                while data := a.recv(65536):
                    b.sendall(data)
                b.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        threading.Thread(target=pump, args=(server, client), daemon=True).start()
        pump(client, server)


def test_through_a_proxys_tunnel(fake, store, tmp_path):
    """TLS from end to end, with a name and a password for the proxy; and past it where NO_PROXY says so."""
    tls, cert = certified(tmp_path, "DNS:*.s3.eu-west-1.amazonaws.com,IP:127.0.0.1")
    f = fake(lambda r: (200, {"ETag": '"x"'}, ""), tls=tls)
    p = Tunnel(f.port, "me:s3cr3t")
    env = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_CA_BUNDLE": str(cert)}
    put = lambda **more: store("s3://bucket-name/x", {**env, **more}, AUTO, 20000)("put", "a", 1, 1)
    assert put(HTTPS_PROXY=f"http://me:s3cr3t@{p.address}") == ("ok", "")
    assert p.asked == ["bucket-name.s3.eu-west-1.amazonaws.com:443"]
    assert f.requests[-1].headers["Host"] == "bucket-name.s3.eu-west-1.amazonaws.com" and "Proxy-Authorization" not in f.requests[-1].headers
    began = time.monotonic()
    for login in ("", "me:wr0ng@"):
        kind, text = put(HTTPS_PROXY=f"http://{login}{p.address}")
        assert kind == "invalid" and "the proxy wants a name and a password" in text and "wr0ng" not in text, text
    assert time.monotonic() - began < 15, "that is not tried again and again"
    n = len(p.asked)
    for skipped in ("127.0.0.1", "example.com,127.0.0.1", "*"):
        assert put(HTTPS_PROXY=f"http://{p.address}", NO_PROXY=skipped, AWS_ENDPOINT_URL=f.url) == ("ok", "")
    assert len(p.asked) == n
    assert put(HTTPS_PROXY=f"http://me:s3cr3t@{p.address}", NO_PROXY="example.com", AWS_ENDPOINT_URL=f.url) == ("ok", "")
    assert p.asked[n:] == [f"127.0.0.1:{f.port}"]
    p.socket.close()


def test_virtual_hosts(fake, store):
    f = fake(lambda r: (200, {"ETag": '"x"'}, ""))
    env = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
           "AWS_ENDPOINT_URL": f.url.replace("127.0.0.1", "localhost")}
    assert store("s3://bucket/x", env, PATH)("put", "a b", 1, 1) == ("ok", "")
    assert (f.requests[-1].headers["Host"], f.requests[-1].path) == (f"localhost:{f.port}", "/bucket/x/a%20b")
    assert store("s3://bucket/x", env, VIRTUAL)("put", "a+b", 1, 1) == ("ok", "")
    assert (f.requests[-1].headers["Host"], f.requests[-1].path) == (f"bucket.localhost:{f.port}", "/x/a%2Bb")


REDIRECT = ("<Error><Code>{}</Code><Message>elsewhere</Message><Region>eu-central-1</Region></Error>")


@pytest.mark.parametrize("status,code,header", [(301, "PermanentRedirect", True), (400, "AuthorizationHeaderMalformed", False),
                                                (307, "TemporaryRedirect", True)])
def test_a_bucket_in_another_region_is_found_once_and_said(fake, store, status, code, header):
    def answer(r):
        if "/eu-central-1/s3/" in r.headers["Authorization"]:
            return 200, {"ETag": '"x"'}, ""
        return status, {"x-amz-bucket-region": "eu-central-1"} if header else {}, REDIRECT.format(code)
    f = fake(answer)
    env = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": f.url}
    s = store("s3://bucket/x", env)
    assert s("put", "a", 1, 1) == s("put", "b", 1, 1) == ("ok", "")
    assert len(f.requests) == 3  # the detour once
    assert s.close().count("is in eu-central-1, not in eu-west-1") == 1


def test_a_redirect_that_leads_nowhere_ends(fake, store):
    f = fake(lambda r: (301, {"x-amz-bucket-region": "us-west-2" if "eu-" in r.headers["Authorization"] else "eu-central-1"},
                        REDIRECT.format("PermanentRedirect")))
    env = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": f.url}
    kind, text = store("s3://bucket/x", env)("put", "a", 1, 1)
    assert kind == "invalid" and "another region" in text and len(f.requests) == 2


def test_a_wrong_clock_is_corrected(fake, store):
    """The server's day is another: the first request is refused, all others are signed by its clock."""
    import datetime
    import email.utils
    theirs = lambda: datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=7)

    def answer(r):
        date = {"Date": email.utils.format_datetime(theirs(), usegmt=True)}
        sent = datetime.datetime.strptime(r.headers["X-Amz-Date"] + "+0000", "%Y%m%dT%H%M%SZ%z")
        if abs((sent - theirs()).total_seconds()) > 900:
            return 403, date, "<Error><Code>RequestTimeTooSkewed</Code><Message>x</Message></Error>"
        return 200, {"ETag": '"x"', **date}, ""
    f = fake(answer)
    env = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": f.url}
    s = store("s3://bucket/x", env)
    assert s("put", "a", 1, 1) == s("put", "b", 1, 1) == ("ok", "")
    assert len(f.requests) == 3 and "clock is 25" in s.close()


def test_a_token_that_expires_in_mid_upload(fake, store, tmp_path):
    """The keys come from a command, which gives others the next time."""
    count = tmp_path / "count"
    (tmp_path / "config").write_text(f"""[default]
credential_process = echo x >> {count}; echo '{{"Version": 1, "AccessKeyId": "key'$(grep -c x {count})'", "SecretAccessKey": "s", "SessionToken": "t"}}'
""")
    parts = []

    def answer(r):
        if "partNumber" in r.path:
            parts.append(r.path)
        if "Credential=key1/" in r.headers["Authorization"] and parts:
            return 400, {}, "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
        if r.method == "POST" and "uploads" in r.path:
            return 200, {}, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
        if r.method == "POST":
            return 200, {}, "<CompleteMultipartUploadResult><ETag>\"x\"</ETag></CompleteMultipartUploadResult>"
        return 200, {"ETag": '"x"'}, ""
    f = fake(answer)
    env = {"AWS_REGION": "eu-west-1", "AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_ENDPOINT_URL": f.url,
           "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
    assert store("s3://bucket/x", env)("create", "a", 20 << 20, 1) == ("ok", "")
    assert count.read_text().count("x") == 2
    signed = {r.headers["Authorization"].split("Credential=")[1].split("/")[0] for r in f.requests[-2:]}
    assert signed == {"key2"}
