"""Kinesis, where moto differs from it: answers of at most 10 MB and 10,000 records, read without scanning the
shard; puts that go to open shards only and never overwrite each other; shards whose records stay where they
are when they are split or merged, and which end (no NextShardIterator, ChildShards); merges in either
order; tags given at the creation of a stream; shards listed in pages of 1,000 (or LIST_SHARDS_PAGE).
NO_CHILD_SHARDS=1: a shard ends without saying who its children are, as other stand-ins have it."""
import hashlib
import os
import threading
from collections import OrderedDict

from moto.core.responses import ActionResult
from moto.kinesis import models
from moto.kinesis.exceptions import InvalidArgumentError
from moto.kinesis.responses import KinesisResponse
from moto.kinesis.utils import decompose_shard_iterator

ANSWER_BYTES = 10 << 20
ANSWER_RECORDS = 10000
LIST_SHARDS_PAGE = int(os.environ.get("LIST_SHARDS_PAGE", 1000))

# moto reads the next sequence number and uses it in two steps, and a put may meet a split
LOCK = threading.RLock()


def locked(original):
    def wrapped(*args, **kw):
        with LOCK:
            return original(*args, **kw)
    return wrapped


def open_shard_for_key(stream, partition_key, explicit_hash_key):
    key = int(explicit_hash_key) if explicit_hash_key else int(hashlib.md5(partition_key.encode()).hexdigest(), 16)
    return next(s for s in stream.shards.values() if s.is_open and s.starting_hash <= key <= s.ending_hash)


def keeping_records(reshard):
    """AWS never moves records from a shard to its children; moto does."""
    def wrapped(stream, *args):
        with LOCK:
            kept = {shard_id: dict(shard.records) for shard_id, shard in stream.shards.items()}
            reshard(stream, *args)
            for shard_id, shard in stream.shards.items():
                shard.records = OrderedDict(kept.get(shard_id, {}))
            stream.shard_count = sum(s.is_open for s in stream.shards.values())
    return wrapped


def merge_in_order(merge):
    """moto takes the two only in the order of their hash keys."""
    def wrapped(stream, first, second):
        a, b = stream.get_shard(first), stream.get_shard(second)
        return merge(stream, *((first, second) if a.starting_hash < b.starting_hash else (second, first)))
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
        if os.environ.get("NO_CHILD_SHARDS"):
            return answer
        result["ChildShards"] = [
            {"ShardId": c.shard_id, "ParentShards": [p for p in (c.parent, c.adjacent_parent) if p],
             "HashKeyRange": {"StartingHashKey": str(c.starting_hash), "EndingHashKey": str(c.ending_hash)}}
            for c in stream.shards.values() if shard_id in (c.parent, c.adjacent_parent)]
    return answer


def create_stream(self, original=KinesisResponse.create_stream):
    answer = original(self)
    name, tags = self._get_param("StreamName"), self._get_param("Tags")
    if tags:
        self.kinesis_backend.describe_stream(stream_arn=None, stream_name=name).tags.update(tags)
    return answer


def list_shards(self):
    """The token stands for the stream and the last shard that was told."""
    token, stream = self._get_param("NextToken"), self._get_param("StreamName")
    if token and stream:
        raise InvalidArgumentError("NextToken and StreamName cannot be provided together.")
    name, _, last = token.rpartition("/") if token else (stream, "", "")
    if token and not name:
        raise InvalidArgumentError("NextToken")
    all_shards = self.kinesis_backend.describe_stream(stream_arn=self._get_param("StreamARN"), stream_name=name).shards.values()
    rest = sorted((s for s in all_shards if s.shard_id > last), key=lambda s: s.shard_id)
    told = rest[:min(self._get_param("MaxResults", LIST_SHARDS_PAGE), 10000)]
    more = f"{name}/{told[-1].shard_id}" if len(rest) > len(told) else None
    return ActionResult({"Shards": [s.to_json() for s in told], "NextToken": more})


def close():
    models.Stream.get_shard_for_key = open_shard_for_key
    models.Stream.put_record = locked(models.Stream.put_record)
    models.Stream.split_shard = keeping_records(models.Stream.split_shard)
    models.Stream.merge_shards = merge_in_order(keeping_records(models.Stream.merge_shards))
    models.Shard.get_records = locked(page)
    models.Shard.get_max_sequence_number = locked(lambda shard: next(reversed(shard.records)) if shard.records else 0)
    KinesisResponse.get_records = get_records
    KinesisResponse.create_stream = create_stream
    KinesisResponse.list_shards = list_shards
