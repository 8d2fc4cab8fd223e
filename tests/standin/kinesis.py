"""moto's server with what a Kinesis reader depends on and moto leaves out: keep-alive, puts
from several clients at once that do not overwrite each other, answers of at most
10 MB and 10,000 records read without scanning the shard, puts that go to open shards only, and the end
of a closed shard (no NextShardIterator, ChildShards).  python kinesis.py -H 127.0.0.1 -p PORT"""
import hashlib
import threading
from collections import OrderedDict

import werkzeug.serving
from moto.kinesis import models
from moto.kinesis.responses import KinesisResponse
from moto.kinesis.utils import decompose_shard_iterator

ANSWER_BYTES = 10 << 20
ANSWER_RECORDS = 10000

werkzeug.serving.WSGIRequestHandler.protocol_version = "HTTP/1.1"


def open_shard_for_key(stream, partition_key, explicit_hash_key):
    key = int(explicit_hash_key) if explicit_hash_key else int(hashlib.md5(partition_key.encode()).hexdigest(), 16)
    return next(s for s in stream.shards.values() if s.is_open and s.starting_hash <= key <= s.ending_hash)


PUT = threading.Lock()


def put_record(shard, *args, original=models.Shard.put_record, **kw):
    with PUT:  # the next sequence number is read and used in two steps
        return original(shard, *args, **kw)


def keeping_records(reshard):
    """AWS never moves records from a shard to its children; moto does."""
    def wrapped(stream, *args):
        kept = {shard_id: dict(shard.records) for shard_id, shard in stream.shards.items()}
        reshard(stream, *args)
        for shard_id, shard in stream.shards.items():
            shard.records = OrderedDict(kept.get(shard_id, {}))
    return wrapped


def page(shard, last, limit):
    last, size, out = int(last), 0, []
    records = shard.records
    newest = records[next(reversed(records))].created_at if records else 0
    behind = 0
    for number in range(last + 1, last + 1 + min(limit or ANSWER_RECORDS, ANSWER_RECORDS)):
        record = records.get(number)  # sequence numbers are dense within a shard
        if record is None:
            break
        size += len(record.data) * 3 // 4
        if out and size > ANSWER_BYTES:
            break
        out.append(record)
        last, behind = number, newest - record.created_at
    return out, last, int(behind * 1000)


def get_records(self, original=KinesisResponse.get_records):
    answer = original(self)
    result = answer.result
    name, shard_id, _ = decompose_shard_iterator(self._get_param("ShardIterator"))
    stream = self.kinesis_backend.describe_stream(stream_arn=None, stream_name=name)
    shard = stream.get_shard(shard_id)
    if not shard.is_open and int(decompose_shard_iterator(result["NextShardIterator"])[2]) >= shard.get_max_sequence_number():
        result.pop("NextShardIterator")
        result["ChildShards"] = [
            {"ShardId": c.shard_id, "ParentShards": [p for p in (c.parent, c.adjacent_parent) if p],
             "HashKeyRange": {"StartingHashKey": str(c.starting_hash), "EndingHashKey": str(c.ending_hash)}}
            for c in stream.shards.values() if shard_id in (c.parent, c.adjacent_parent)]
    return answer


models.Shard.put_record = put_record
models.Stream.get_shard_for_key = open_shard_for_key
models.Stream.split_shard = keeping_records(models.Stream.split_shard)
models.Stream.merge_shards = keeping_records(models.Stream.merge_shards)
models.Shard.get_records = page
models.Shard.get_max_sequence_number = lambda shard: next(reversed(shard.records)) if shard.records else 0
KinesisResponse.get_records = get_records

if __name__ == "__main__":
    from moto.server import main
    main()
