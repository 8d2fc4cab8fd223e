"""A Kinesis endpoint with all its records ready: stream.py EVENTS.ndjson SHARDS. Prints its port, serves until it is ended.

The tests' stand-in makes each answer anew, in Python, so slowly that whoever reads from it mostly waits; what is measured then is
waiting and cold caches. This one has its records encoded, and knows just what a reader asks for, in JSON or, as AWS's own SDKs do, in CBOR."""
import base64
import json
import re
import socket
import socketserver
import sys
import time

FIRST = 49600000000000000000000000000000000000000000000000000000  # 56 digits, as sequence numbers have
LIMIT = 10_000
CBOR = "application/x-amz-cbor-1.1"


def in_json(number, now, data, key):
    return b'{"SequenceNumber":"%s","ApproximateArrivalTimestamp":%.3f,"Data":"%s","PartitionKey":"%s"}' % (number, now, base64.b64encode(data), key)


def head(kind, n):
    """Of an item in CBOR."""
    return bytes([kind << 5 | n]) if n < 24 else bytes([kind << 5 | 24, n]) if n < 256 else bytes([kind << 5 | 25]) + n.to_bytes(2, "big")


def text(s):
    return head(3, len(s)) + s


def in_cbor(number, now, data, key):
    """As AWS has it: maps without a length, times in milliseconds."""
    return b"".join((b"\xbf", text(b"SequenceNumber"), text(number), text(b"ApproximateArrivalTimestamp"), b"\xc1\x1b", int(now * 1000).to_bytes(8, "big"),
                     text(b"Data"), head(2, len(data)), data, text(b"PartitionKey"), text(key), b"\xff"))


def encoded(form, events, shards):
    """Of each shard, its records as they stand in answers."""
    now = time.time()
    return [[form(b"%d" % (FIRST + shard + i * 16), now, line, b"%d" % i) for i, line in enumerate(events[shard::shards])] for shard in range(shards)]


def cbor_request(p):
    """Its numbers and texts, of a flat map."""
    def item(at):
        kind, low = p[at] >> 5, p[at] & 31
        size = 1 << low - 24 if low >= 24 else 0
        n = int.from_bytes(p[at + 1:at + 1 + size], "big") if size else low
        at += 1 + size
        return (p[at:at + n].decode(), at + n) if kind == 3 else (n, at)

    out, at = {}, 1
    while at < len(p) and p[at] != 0xff:
        key, at = item(at)
        out[key], at = item(at)
    return out


def records_of(body, ready):
    shard, at = map(int, body["ShardIterator"].split("/"))
    records = ready[shard][at:at + min(body["Limit"], LIMIT)]
    at += len(records)
    return records, b"%d/%d" % (shard, at), len(ready[shard]) - at


def answer_cbor(body):
    records, after, behind = records_of(body, READY_CBOR)
    return b"".join((b"\xbf", text(b"Records"), b"\x9f", *records, b"\xff", text(b"NextShardIterator"), text(after),
                     text(b"MillisBehindLatest"), b"\x1b", behind.to_bytes(8, "big"), b"\xff"))


def answer(target, body):
    if target == "DescribeStreamSummary":
        return json.dumps({"StreamDescriptionSummary": {"StreamName": "bench", "StreamARN": "arn:aws:kinesis:eu-west-1:000000000000:stream/bench",
                                                        "StreamStatus": "ACTIVE", "RetentionPeriodHours": 24, "StreamCreationTimestamp": 1.0,
                                                        "EnhancedMonitoring": [], "OpenShardCount": len(READY), "ConsumerCount": 0}}).encode()
    if target == "ListShards":
        width = 2**128 // len(READY)
        return json.dumps({"Shards": [{"ShardId": f"shardId-{i:012}", "SequenceNumberRange": {"StartingSequenceNumber": str(FIRST)},
                                       "HashKeyRange": {"StartingHashKey": str(i * width), "EndingHashKey": str((i + 1) * width - 1)}}
                                      for i in range(len(READY))]}).encode()
    if target == "GetShardIterator":
        return json.dumps({"ShardIterator": f"{int(body['ShardId'][-12:])}/0"}).encode()
    if target == "GetRecords":
        records, after, behind = records_of(body, READY)
        return b'{"Records":[%s],"NextShardIterator":"%s","MillisBehindLatest":%d}' % (b",".join(records), after, behind)
    raise ValueError(f"unknown request {target}")


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while head := self.rfile.readline():
            headers = {}
            while (line := self.rfile.readline().strip()):
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            body, form = self.rfile.read(int(headers.get("content-length", 0))), headers.get("content-type", "")
            target = re.sub(r".*\.", "", headers.get("x-amz-target", head.decode()))
            out = answer_cbor(cbor_request(body)) if form == CBOR and target == "GetRecords" else answer(target, json.loads(body or b"{}"))
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (form.encode(), len(out)) + out)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True


EVENTS = open(sys.argv[1], "rb").read().splitlines()
READY, READY_CBOR = (encoded(form, EVENTS, int(sys.argv[2])) for form in (in_json, in_cbor))
with Server(("127.0.0.1", 0), Connection) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
