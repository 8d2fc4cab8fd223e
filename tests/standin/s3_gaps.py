"""S3, where moto differs from it: what a request says of its body (Content-MD5, x-amz-content-sha256,
x-amz-checksum-sha256, -sha1, -crc32) is checked; a checksum is kept also where x-amz-sdk-checksum-algorithm is
not sent; a conditional put is one step, though the server has many threads."""
import base64
import hashlib
import threading

from moto.s3.exceptions import S3ClientError
from moto.s3.responses import S3Response
from moto.s3.utils import compute_checksum
from werkzeug.datastructures import Headers

LOCK = threading.RLock()
ALGORITHMS = ("sha256", "sha1", "crc32")


def check_body(headers, body):
    claimed = headers.get("x-amz-content-sha256", "")
    if len(claimed) == 64 and claimed != hashlib.sha256(body).hexdigest():
        raise S3ClientError("XAmzContentSHA256Mismatch",
                       "The provided 'x-amz-content-sha256' header does not match what was computed.")
    md5 = headers.get("Content-MD5")
    if md5 and md5 != base64.b64encode(hashlib.md5(body).digest()).decode():
        raise S3ClientError("BadDigest", "The Content-MD5 you specified did not match what we received.")
    for algorithm in ALGORITHMS:
        value = headers.get(f"x-amz-checksum-{algorithm}")
        if not value:
            continue
        computed = compute_checksum(body, algorithm.upper())
        if value != (computed.decode() if isinstance(computed, bytes) else computed):
            raise S3ClientError("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")


def checked(original):
    def wrapped(self, *args, **kw):
        check_body(self.headers, self.raw_body if self.raw_body is not None else self.body)
        return original(self, *args, **kw)
    return wrapped


def named_algorithm(self, response_headers, original=S3Response._get_checksum):
    if not self.headers.get("x-amz-sdk-checksum-algorithm"):
        for algorithm in ALGORITHMS:
            if self.headers.get(f"x-amz-checksum-{algorithm}"):
                self.headers = Headers(list(self.headers.items()))  # those of the request cannot be changed
                self.headers.set("x-amz-sdk-checksum-algorithm", algorithm.upper())
    return original(self, response_headers)


def one_step(original):
    def wrapped(*args, **kw):
        with LOCK:
            return original(*args, **kw)
    return wrapped


def close():
    S3Response.put_object = one_step(checked(S3Response.put_object))
    S3Response.upload_part = checked(S3Response.upload_part)
    S3Response._get_checksum = named_algorithm
