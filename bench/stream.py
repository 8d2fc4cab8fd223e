"""A Kinesis endpoint with all its records ready: stream.py EVENTS.ndjson SHARDS. Prints its port, serves until it is ended.

The tests' stand-in makes each answer anew, in Python, so slowly that whoever reads from it mostly waits; what is measured then is
waiting and cold caches. This one has its records encoded, and knows just what a reader asks for."""
import base64
import json
import re
import socket
import socketserver
import sys
import time

FIRST = 49600000000000000000000000000000000000000000000000000000  # 56 digits, as sequence numbers have
LIMIT = 10_000


def encoded(events, shards):
    """Of each shard, its records as they stand in answers."""
    now = time.time()
    return [[b'{"SequenceNumber":"%d","ApproximateArrivalTimestamp":%.3f,"Data":"%s","PartitionKey":"%d"}' % (
        FIRST + shard + i * 16, now, base64.b64encode(line), i) for i, line in enumerate(events[shard::shards])] for shard in range(shards)]


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
        shard, at = map(int, body["ShardIterator"].split("/"))
        records = READY[shard][at:at + min(body["Limit"], LIMIT)]
        at += len(records)
        return b'{"Records":[%s],"NextShardIterator":"%d/%d","MillisBehindLatest":%d}' % (
            b",".join(records), shard, at, len(READY[shard]) - at)
    raise ValueError(f"unknown request {target}")


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while head := self.rfile.readline():
            headers = {}
            while (line := self.rfile.readline().strip()):
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            body = json.loads(self.rfile.read(int(headers.get("content-length", 0))) or b"{}")
            out = answer(re.sub(r".*\.", "", headers.get("x-amz-target", head.decode())), body)
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: %d\r\n\r\n" % len(out) + out)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True


READY = encoded(open(sys.argv[1], "rb").read().splitlines(), int(sys.argv[2]))
with Server(("127.0.0.1", 0), Connection) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
