"""An HTTP proxy that does to a service what networks and clouds do.

    python faults.py --port PORT --to http://127.0.0.1:5000

Rules come and go through its own path, on the same port:
    POST   /_faults   a rule, or a list of rules (JSON): they are added
    GET    /_faults   the rules, each with how many requests it has met ("seen") and struck ("struck")
    DELETE /_faults   none any more; the log is emptied too
    GET    /_faults/count   how many requests there were
    GET    /_faults/log   every request so far: method, path, target (of the JSON services), status, bytes sent, authorization

A rule: {"fault": ..., and which requests it means, all optional:
    "method": "PUT", "path": a regular expression searched in path and query, "target": one in X-Amz-Target
    "skip": n   let so many of them pass first        "times": n   then strike so many (default: all)
    "share": p  strike each with this probability (the same ones for the same "seed")}
The first rule that strikes wins. Faults:
    status    answer "status" with error "code", the service never sees the request
    reset     the connection is reset, the service never sees the request
    lost      the service acts, then the connection is reset: the answer is lost
    after     the service acts, then the answer is "status" with "code"
    truncate  the answer's head says its whole length, half of its body comes, then the end
    corrupt   one bit in the middle of the answer's body is flipped
    slow      the answer's body comes at "bytes_per_second"
    delay     the request goes on after "seconds"
    hang      no answer for "seconds" (the service never sees the request), then a reset
    partial   of a PutRecords, `refused` (0 to 1) of the records are refused as throttled, the others put
    headers   the answer gets the headers of "headers" (a map; null removes one)"""
import argparse
import http.client
import json
import random
import re
import socket
import socketserver
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

HOP = {"connection", "keep-alive", "transfer-encoding", "proxy-connection"}


class Rule:
    def __init__(self, spec):
        self.spec, self.seen, self.struck = spec, 0, 0
        self.random = random.Random(spec.get("seed", 0))
        unknown = set(spec) - {"fault", "method", "path", "target", "skip", "times", "share", "seed", "status", "code",
                               "bytes_per_second", "seconds", "headers", "refused"}
        if unknown or not hasattr(Proxy, "do_" + str(spec.get("fault")) + "_fault"):
            raise ValueError(f"no such rule: {spec}")

    def strikes(self, method, path, target):
        s = self.spec
        if "method" in s and s["method"] != method or "path" in s and not re.search(s["path"], path) \
                or "target" in s and not re.search(s["target"], target):
            return False
        self.seen += 1
        if self.seen <= s.get("skip", 0) or self.struck >= s.get("times", float("inf")) \
                or self.random.random() >= s.get("share", 1):
            return False
        self.struck += 1
        return True


class State:
    def __init__(self):
        self.lock, self.rules, self.log = threading.Lock(), [], []

    def choose(self, method, path, target):
        with self.lock:
            return next((r.spec for r in self.rules if r.strikes(method, path, target)), None)


class Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *args):
        pass

    # ---- the requests

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/_faults"):
            return self.control(body)
        target = self.headers.get("X-Amz-Target", "")
        self.entry = {"method": self.command, "path": self.path, "target": target, "status": 0, "bytes": len(body),
                      "authorization": self.headers.get("Authorization", "")}
        rule = self.server.state.choose(self.command, self.path, target)
        try:
            if rule:
                getattr(self, f"do_{rule['fault']}_fault")(rule, body)
            else:
                self.answer(*self.forward(body))
        except (ConnectionError, TimeoutError, http.client.HTTPException):
            self.close_connection = True
        with self.server.state.lock:
            self.server.state.log.append(self.entry)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = serve

    def control(self, body):
        state, answer = self.server.state, None
        with state.lock:
            if self.command == "POST":
                try:
                    given = json.loads(body)
                    state.rules += [Rule(r) for r in (given if isinstance(given, list) else [given])]
                except ValueError as e:
                    return self.answer(400, {}, str(e).encode())
            elif self.command == "DELETE":
                state.rules, state.log = [], []
            elif self.path == "/_faults/log":
                answer = state.log
            elif self.path == "/_faults/count":
                answer = len(state.log)
            answer = answer if answer is not None else [{**r.spec, "seen": r.seen, "struck": r.struck} for r in state.rules]
            text = json.dumps(answer).encode()
        self.answer(200, {"Content-Type": "application/json"}, text)

    def forward(self, body):
        """Through to the service, over this connection's own connection to it."""
        headers = [(k, v) for k, v in self.headers.items() if k.lower() not in HOP and k.lower() != "content-length"]
        for attempt in (0, 1):  # a kept connection may have been closed meanwhile
            fresh = not getattr(self, "upstream", None)
            if fresh:
                self.upstream = http.client.HTTPConnection(self.server.to, timeout=300)
            up = self.upstream
            try:
                up.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for k, v in headers:
                    up.putheader(k, v)
                if body or self.headers.get("Content-Length"):
                    up.putheader("Content-Length", str(len(body)))
                up.endheaders(body or None)
                r = up.getresponse()
                data = r.read()
                break
            except (ConnectionError, http.client.HTTPException):
                self.upstream = None
                if fresh or attempt:
                    raise
        return r.status, [(k, v) for k, v in r.getheaders() if k.lower() not in HOP], data

    def answer(self, status, headers, body, send=None):
        """`send` of the body's bytes, in place of all of them."""
        headers = list(headers.items() if isinstance(headers, dict) else headers)
        self.entry = getattr(self, "entry", {})
        self.entry["status"] = status
        self.send_response_only(status)
        for k, v in headers:
            self.send_header(k, v)
        if not any(k.lower() == "content-length" for k, _ in headers) and status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if send is None else send)
        self.wfile.flush()

    def error(self, rule):
        """In the words of the service: JSON where the request has a target, XML as S3 has it otherwise."""
        status, code = rule.get("status", 500), rule.get("code", "InternalError")
        if self.headers.get("X-Amz-Target"):
            body = json.dumps({"__type": code, "message": "as the test has it"}).encode()
            return status, {"Content-Type": "application/x-amz-json-1.1"}, body
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>as the test has it</Message></Error>'
        return status, {"Content-Type": "application/xml"}, body.encode()

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.connection.close()

    # ---- the faults

    def do_status_fault(self, rule, body):
        self.answer(*self.error(rule))

    def do_reset_fault(self, rule, body):
        self.reset()

    def do_lost_fault(self, rule, body):
        self.forward(body)
        self.reset()

    def do_after_fault(self, rule, body):
        self.forward(body)
        self.answer(*self.error(rule))

    def do_truncate_fault(self, rule, body):
        status, headers, data = self.forward(body)
        self.answer(status, headers, data, data[:len(data) // 2])
        self.close_connection = True

    def do_corrupt_fault(self, rule, body):
        status, headers, data = self.forward(body)
        broken = bytearray(data)
        if broken:
            broken[len(broken) // 2] ^= 1
        self.answer(status, headers, bytes(broken))

    def do_slow_fault(self, rule, body):
        status, headers, data = self.forward(body)
        self.answer(status, headers, data, b"")
        step = max(1, rule.get("bytes_per_second", 1000) // 10)
        for at in range(0, len(data), step):
            self.wfile.write(data[at:at + step])
            self.wfile.flush()
            time.sleep(0.1)

    def do_delay_fault(self, rule, body):
        time.sleep(rule.get("seconds", 1))
        self.answer(*self.forward(body))

    def do_hang_fault(self, rule, body):
        time.sleep(rule.get("seconds", 60))
        self.reset()

    def do_partial_fault(self, rule, body):
        """Each record is refused with that probability; never all of them."""
        asked, dice = json.loads(body), random.Random(body)
        records = asked["Records"]
        put = [i for i in range(len(records)) if dice.random() >= rule.get("refused", 0.5)] or [0]
        status, headers, data = self.forward(json.dumps({**asked, "Records": [records[i] for i in put]}).encode())
        answer = json.loads(data)
        done = dict(zip(put, answer["Records"]))
        answer["Records"] = [done.get(i, {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "as the test has it"})
                             for i in range(len(records))]
        answer["FailedRecordCount"] = len(records) - len(put)
        self.entry["records"], self.entry["refused"] = len(records), len(records) - len(put)
        kept = [(k, v) for k, v in headers if k.lower() != "content-length"]
        self.answer(status, kept, json.dumps(answer).encode())

    def do_headers_fault(self, rule, body):
        status, headers, data = self.forward(body)
        change = rule.get("headers", {})
        lower = {k.lower() for k in change}
        kept = [(k, v) for k, v in headers if k.lower() not in lower]
        self.answer(status, kept + [(k, v) for k, v in change.items() if v is not None], data)

    def finish(self):
        try:
            super().finish()
        except (OSError, ValueError):
            pass  # reset on purpose
        if getattr(self, "upstream", None):
            self.upstream.close()


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port, to):
        self.state, self.to = State(), urlsplit(to).netloc
        super().__init__(("127.0.0.1", port), Proxy)

    def handle_error(self, request, client_address):
        pass


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--to", required=True, metavar="URL")
    a = p.parse_args()
    Server(a.port, a.to).serve_forever()


if __name__ == "__main__":
    main()
