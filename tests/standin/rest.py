"""An Iceberg REST catalog for tests, over PyIceberg's own reading of requirements and updates (so it is not our
code that judges our commits). Tables in memory, their metadata files in --warehouse.

    python rest.py --port PORT --warehouse DIR [--prefix P] [--first-id N] [--credential ID:SECRET] [--token-uses N]
                   [--sign SERVICE] [--s3 ENDPOINT] [--vend SECONDS] [--spread N]

--first-id: field ids that this server assigns begin there. --spread: and are so far apart, those of columns that a commit
adds too. --credential: a bearer token is wanted, got at
v1/oauth/tokens; it is good for --token-uses requests, then the answer is 401 until a new one is got. --sign: each
request has to carry the signature that botocore makes of it for this service, of the keys "test", in eu-west-1. --s3: metadata of tables in s3://
is put there. --vend: each table comes with keys of its own for its files, good for so long."""
import argparse
import itertools
import json
import pathlib
import re
import socketserver
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema, assign_fresh_schema_ids
from pyiceberg.table import CommitTableRequest
from pyiceberg.table.metadata import TableMetadataV2
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.table.update import update_table_metadata

SEPARATOR = "\x1f"


class Refused(Exception):
    def __init__(self, status, kind, message):
        super().__init__(message)
        self.status, self.kind = status, kind


class Catalog:
    def __init__(self, options):
        self.options, self.lock = options, threading.RLock()
        self.namespaces, self.tables, self.tokens, self.commits, self.vendings = set(), {}, {}, 0, 0

    # ---- tables

    def write(self, name, metadata, number):
        at = f"{metadata.location}/metadata/{number:05d}-{uuid.uuid4()}.metadata.json"
        text = metadata.model_dump_json(by_alias=True)
        if at.startswith("s3://"):
            bucket, key = at.removeprefix("s3://").split("/", 1)
            self.s3().put_object(Bucket=bucket, Key=key, Body=text.encode())
        else:
            file = pathlib.Path(at.removeprefix("file://"))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self.tables[name] = (metadata, at, number)
        return self.answer(name)

    def s3(self):
        return boto3.client("s3", endpoint_url=self.options.s3, region_name="eu-west-1", aws_access_key_id="catalog",
                            aws_secret_access_key="catalog")

    def answer(self, name):
        metadata, at, _ = self.tables[name]
        return {"metadata-location": at, "metadata": json.loads(metadata.model_dump_json(by_alias=True)), "config": {},
                **self.vended(metadata.location)}

    def vended(self, location):
        """Of two that fit the longer prefix counts; the shorter one's keys are refused by nobody here, but are told apart."""
        if not self.options.vend:
            return {}
        over = str(int((time.time() + self.options.vend) * 1000))
        self.vendings += 1
        keys = lambda name: {"s3.access-key-id": name, "s3.secret-access-key": "secret", "s3.session-token": f"token{self.vendings}",
                             "s3.session-token-expires-at-ms": over, "s3.endpoint": self.options.s3, "client.region": "eu-west-1",
                             "s3.path-style-access": "true"}
        return {"storage-credentials": [{"prefix": location, "config": keys("vended")}, {"prefix": "s3://", "config": keys("wrong")}]}

    def create(self, namespace, q):
        name = (*namespace, q["name"])
        if namespace not in self.namespaces:
            raise Refused(404, "NoSuchNamespaceException", f"no namespace {namespace}")
        if name in self.tables:
            raise Refused(409, "AlreadyExistsException", f"Table already exists: {name}")
        theirs = Schema.model_validate(q["schema"])
        counter = itertools.count(self.options.first_id, self.options.spread)
        schema = assign_fresh_schema_ids(theirs, lambda: next(counter))
        mapped = lambda i: schema.find_field(theirs.find_column_name(i)).field_id
        spec = PartitionSpec(*[PartitionField(source_id=mapped(f["source-id"]), field_id=1000 + n, name=f["name"], transform=f["transform"])
                               for n, f in enumerate(q.get("partition-spec", {}).get("fields", []))])
        order = SortOrder(*[SortField(source_id=mapped(f["source-id"]), transform=f["transform"], direction=f["direction"],
                                      null_order=f["null-order"]) for f in q.get("write-order", {}).get("fields", [])], order_id=1)
        home = self.options.warehouse if "://" in self.options.warehouse else f"file://{self.options.warehouse}"
        location = q.get("location") or f"{home}/{'/'.join(name)}"
        properties = {k: v for k, v in q.get("properties", {}).items() if k != "format-version"}
        metadata = TableMetadataV2(
            location=location, table_uuid=uuid.uuid4(), schemas=[schema], current_schema_id=schema.schema_id,
            last_column_id=schema.highest_field_id, partition_specs=[spec], default_spec_id=spec.spec_id,
            last_partition_id=spec.last_assigned_field_id, sort_orders=[order], default_sort_order_id=order.order_id,
            properties=properties)
        return self.write(name, metadata, 0)

    def own_ids(self, field, last):
        """Gives each id that is new a number of this server's."""
        for key in ("id", "element-id", "key-id", "value-id"):
            if field.get(key, 0) > last:
                field[key] = last + (field[key] - last) * self.options.spread
        for child in field.get("fields", []):
            self.own_ids(child, last)
        for key in ("type", "element", "key", "value"):
            if isinstance(field.get(key), dict):
                self.own_ids(field[key], last)

    def commit(self, name, body):
        if name not in self.tables:
            raise Refused(404, "NoSuchTableException", f"Table does not exist: {name}")
        for update in body["updates"]:
            if update["action"] == "add-schema" and self.options.spread > 1:
                self.own_ids(update["schema"], self.tables[name][0].last_column_id)
                update.pop("last-column-id", None)
        body = {**body, "identifier": {"namespace": list(name[:-1]), "name": name[-1]}}
        q = CommitTableRequest.model_validate_json(json.dumps(body))
        metadata, at, number = self.tables[name]
        try:
            for r in q.requirements:
                r.validate(metadata)
        except CommitFailedException as e:
            raise Refused(409, "CommitFailedException", str(e)) from None
        self.commits += 1
        return self.write(name, update_table_metadata(metadata, q.updates, metadata_location=at), number + 1)

    # ---- who asks

    def give_token(self, form):
        ident, secret = self.options.credential.split(":")
        if form.get("client_id") != [ident] or form.get("client_secret") != [secret] or form.get("grant_type") != ["client_credentials"]:
            raise Refused(401, "invalid_client", "wrong credentials")
        token = uuid.uuid4().hex
        self.tokens[token] = self.options.token_uses
        return {"access_token": token, "token_type": "bearer", "expires_in": 3600}

    def check_token(self, header):
        if not self.options.credential:
            return
        token = (header or "").removeprefix("Bearer ")
        if self.tokens.get(token, 0) <= 0:
            raise Refused(401, "NotAuthorizedException", "the token is not valid")
        self.tokens[token] -= 1

    def check_signature(self, method, path, body, headers):
        request = AWSRequest(method, f"http://{headers['Host']}{path}", data=body)
        given = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=(.*), SignedHeaders=(.*), Signature=(.*)", headers.get("Authorization", ""))
        if not given or given[1].split("/")[0] != "test" or given[1].split("/", 2)[2] != f"eu-west-1/{self.options.sign}/aws4_request":
            raise Refused(403, "MissingAuthenticationToken", "not signed as it has to be")
        for name in given[2].split(";"):
            request.headers[name] = headers[name]
        request.context["timestamp"] = headers["X-Amz-Date"]
        auth = SigV4Auth(Credentials("test", "test"), self.options.sign, "eu-west-1")
        auth.headers_to_sign = lambda r: r.headers
        expected = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        if given[3] != expected:
            raise Refused(403, "SignatureDoesNotMatch", "the signature is another")

    # ---- the paths

    def serve(self, method, path, body, headers):
        url = urlsplit(path)
        if self.options.sign:
            self.check_signature(method, path, body, headers)
        if url.path == "/v1/oauth/tokens":
            return self.give_token(parse_qs(body.decode()))
        self.check_token(headers.get("Authorization"))
        if url.path == "/v1/config":
            return {"defaults": {}, "overrides": {"prefix": self.options.prefix} if self.options.prefix else {}}
        prefix = f"/v1/{self.options.prefix + '/' if self.options.prefix else ''}namespaces"
        if not url.path.startswith(prefix):
            raise Refused(404, "NotFound", f"no such path {url.path}")
        parts = [unquote(p) for p in url.path[len(prefix):].strip("/").split("/") if p]
        q = json.loads(body) if body else {}
        if not parts:
            return self.namespace(method, tuple(q.get("namespace", [])))
        namespace = tuple(parts[0].split(SEPARATOR))
        if len(parts) == 1:
            if namespace not in self.namespaces:
                raise Refused(404, "NoSuchNamespaceException", f"no namespace {namespace}")
            return {"namespace": list(namespace), "properties": {}}
        if len(parts) == 2:
            return self.create(namespace, q) if method == "POST" else \
                {"identifiers": [{"namespace": list(n[:-1]), "name": n[-1]} for n in self.tables if n[:-1] == namespace]}
        name = (*namespace, parts[2])
        if method == "POST":
            return self.commit(name, q)
        if name not in self.tables:
            raise Refused(404, "NoSuchTableException", f"Table does not exist: {name}")
        return self.answer(name)

    def namespace(self, method, namespace):
        if method == "POST":
            if namespace in self.namespaces:
                raise Refused(409, "AlreadyExistsException", "it exists")
            self.namespaces.add(namespace)
        return {"namespaces": [list(n) for n in self.namespaces], "namespace": list(namespace), "properties": {}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *args):
        pass

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            with self.server.catalog.lock:
                status, answer = 200, self.server.catalog.serve(self.command, self.path, body, self.headers)
        except Refused as e:
            status, answer = e.status, {"error": {"message": str(e), "type": e.kind, "code": e.status}}
        except Exception as e:  # what PyIceberg cannot read or apply
            status, answer = 400, {"error": {"message": f"{type(e).__name__}: {e}", "type": "BadRequestException", "code": 400}}
        text = json.dumps(answer).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_HEAD = do_DELETE = serve


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--warehouse", required=True)
    p.add_argument("--prefix", default="")
    p.add_argument("--first-id", type=int, default=1)
    p.add_argument("--spread", type=int, default=1)
    p.add_argument("--credential", default="")
    p.add_argument("--sign", default="")
    p.add_argument("--s3", default="")
    p.add_argument("--vend", type=float, default=0)
    p.add_argument("--token-uses", type=int, default=1000000)
    options = p.parse_args()
    server = Server(("127.0.0.1", options.port), Handler)
    server.catalog = Catalog(options)
    server.serve_forever()


if __name__ == "__main__":
    main()
