"""A Lambda runtime API on the loopback: events are queued with `invoke`, which returns what the runtime answered.

It does what the service does for a custom runtime: "next" blocks until there is an event, one invocation at a
time, and every event is answered by "response" or "error"."""
import base64
import json
import queue
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Runtime:
    def __init__(self):
        self.events, self.answers, self.first_next = queue.Queue(), {}, threading.Event()
        self.lose = set()  # answers to these request ids are dropped with the connection
        runtime = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def reply(self, status, body=b"", **headers):
                self.send_response(status)
                for k, v in headers.items():
                    self.send_header(k.replace("_", "-"), v)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                assert self.path == "/2018-06-01/runtime/invocation/next"
                runtime.first_next.set()
                request, body = runtime.events.get()
                if request is None:
                    self.close_connection = True
                    return None
                self.reply(200, body, Lambda_Runtime_Aws_Request_Id=request,
                           Lambda_Runtime_Deadline_Ms=str(int(time.time() * 1000) + 60000),
                           Lambda_Runtime_Invoked_Function_Arn="arn:aws:lambda:eu-west-1:123456789012:function:inlet")

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                *_, request, what = self.path.split("/")
                if request in runtime.lose:
                    runtime.lose.discard(request)
                    self.close_connection = True
                    return
                runtime.answers[request].put((what, json.loads(body)))
                self.reply(202)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.api = f"127.0.0.1:{self.server.server_port}"

    def send(self, event):
        request = str(uuid.uuid4())
        self.answers[request] = queue.Queue()
        self.events.put((request, event if isinstance(event, bytes) else json.dumps(event).encode()))
        return request

    def invoke(self, event, timeout=60):
        return self.answers[self.send(event)].get(timeout=timeout)

    def close(self):
        self.events.put((None, b""))
        self.server.shutdown()
        self.server.server_close()


def event_of(arn, shard, records):
    """records: (sequence number, payload bytes)."""
    return {"Records": [{
        "kinesis": {"kinesisSchemaVersion": "1.0", "partitionKey": "1", "sequenceNumber": str(seq),
                    "data": base64.b64encode(data).decode(), "approximateArrivalTimestamp": 1545084650.987},
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": f"{shard}:{seq}", "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/lambda-role", "awsRegion": "eu-west-1",
        "eventSourceARN": arn} for seq, data in records]}
