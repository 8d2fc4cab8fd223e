"""Kinesis in CBOR (application/x-amz-cbor-1.1), which AWS's Java SDK speaks and moto does not: requests are turned into JSON,
answers into what AWS sends, maps without a length, data as bytes, and times in milliseconds under tag 1."""
import base64
import io
import json
import struct

from moto.moto_server.werkzeug_app import DomainDispatcherApplication

CBOR, JSON = "application/x-amz-cbor-1.1", "application/x-amz-json-1.1"
BREAK = 0xff


def head(kind, n):
    if n < 24:
        return bytes([kind << 5 | n])
    low, form = next((low, form) for low, form in ((24, "B"), (25, ">H"), (26, ">I"), (27, ">Q")) if n < 1 << 8 * struct.calcsize(form))
    return bytes([kind << 5 | low]) + struct.pack(form, n)


def packed(value, key=None):
    if isinstance(value, dict):
        return b"\xbf" + b"".join(packed(k) + packed(v, k) for k, v in value.items()) + b"\xff"
    if isinstance(value, list):
        return b"\x9f" + b"".join(map(packed, value)) + b"\xff"
    if key == "Data":
        data = base64.b64decode(value)
        return head(2, len(data)) + data
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]
    if key.endswith("Timestamp"):
        return b"\xc1" + head(0, round(value * 1000))
    return head(0, value) if isinstance(value, int) else b"\xfb" + struct.pack(">d", value)


def unpacked(p, at=0):
    """A value and where it ends. Of what requests are made of."""
    kind, low = p[at] >> 5, p[at] & 31
    size = 1 << low - 24 if 24 <= low < 31 else 0
    n = int.from_bytes(p[at + 1:at + 1 + size], "big") if size else low
    at += 1 + size
    if kind == 0:
        return n, at
    if kind in (2, 3):
        return base64.b64encode(p[at:at + n]).decode() if kind == 2 else p[at:at + n].decode(), at + n
    if kind == 6:
        millis, at = unpacked(p, at)
        return millis / 1000, at
    if kind == 7:
        return {20: False, 21: True, 22: None}[low], at
    items = []
    while p[at] != BREAK if low == 31 else len(items) < n * (kind - 3):
        item, at = unpacked(p, at)
        items.append(item)
    return dict(zip(items[::2], items[1::2])) if kind == 5 else items, at + (low == 31)


def speaking_cbor(self, environ, start_response, original=DomainDispatcherApplication.__call__):
    if environ.get("CONTENT_TYPE") != CBOR:
        return original(self, environ, start_response)
    request, _ = unpacked(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    text, told = json.dumps(request).encode(), []
    environ |= {"CONTENT_TYPE": JSON, "CONTENT_LENGTH": str(len(text)), "wsgi.input": io.BytesIO(text)}
    answer = packed(json.loads(b"".join(original(self, environ, lambda *status_and_headers: told.append(status_and_headers)))))
    status, headers = told[0][:2]
    kept = [(k, v) for k, v in headers if k.lower() not in ("content-type", "content-length")]
    start_response(status, [*kept, ("Content-Type", CBOR), ("Content-Length", str(len(answer)))])
    return [answer]


def close():
    DomainDispatcherApplication.__call__ = speaking_cbor
