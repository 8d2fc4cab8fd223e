"""inlet run and gen against a Kinesis that throttles, fails, forgets iterators and is resharded."""
import datetime
import json
import time

import model
import pytest
from conftest import run
from test_run import make, put


def through(aws, faults):
    return {**aws[1], "AWS_ENDPOINT_URL": faults.url}


def consume(lake, name, env, *args):
    return run("run", "--stream", f"kinesis://{name}", "--lake", lake.path, "--until-caught-up", *args, env=env)


def error(code, status=400, **more):
    return {"fault": "status", "status": status, "code": code, **more}


READS = {
    "throttled": error("ProvisionedThroughputExceededException", target="GetRecords", times=6),
    "limit exceeded": error("LimitExceededException", target="ListShards|DescribeStream", times=3),
    "internal failure": error("InternalFailure", 500, target="GetRecords", times=5),
    "unavailable": error("ServiceUnavailable", 503, times=5),
    "expired iterator": error("ExpiredIteratorException", target="GetRecords", skip=1, times=3),
    "reset": {"fault": "reset", "target": "GetRecords", "times": 4},
    "answers lost": {"fault": "lost", "target": "GetRecords", "times": 4},
    "cut short": {"fault": "truncate", "target": "GetRecords", "times": 3},
    "slow": {"fault": "slow", "target": "GetRecords", "times": 1, "bytes_per_second": 60000},
}


@pytest.mark.parametrize("name", READS)
def test_reading_through(lake, aws, faults, name):
    client, events, stream = aws[0]("kinesis"), make(600), "read-" + name.replace(" ", "-")
    client.create_stream(StreamName=stream, ShardCount=2)
    put(client, stream, events)
    faults.add(READS[name])
    consume(lake, stream, through(aws, faults))
    struck, = faults.rules()
    assert struck["struck"] == struck["times"], struck
    model.check(lake, events)


@pytest.mark.parametrize("rule", [error("ProvisionedThroughputExceededException", target="PutRecords", times=3),
                                  error("InternalFailure", 500, target="PutRecords", times=2), {"fault": "reset", "target": "PutRecords", "times": 2}],
                         ids=["throttled", "internal failure", "reset"])
@pytest.mark.parametrize("packed", [[], ["--aggregate"]], ids=["plain", "aggregated"])
def test_writing_through(lake, aws, faults, rule, packed):
    client, stream = aws[0]("kinesis"), f"write-{rule.get('code', 'reset')}-{len(packed)}"
    client.create_stream(StreamName=stream, ShardCount=2)
    args = ["gen", "--events", "4000", "--types", "5", "--seed", "9", "--start", "2026-11-20T00:00:00Z", "--malformed", "0", "--duplicates", "0"]
    sent = [json.loads(line) for line in run(*args).stdout.splitlines()]
    faults.add(rule)
    run(*args, "--stream", f"kinesis://{stream}", *packed, env=through(aws, faults))
    assert faults.rules()[0]["struck"] == rule["times"]
    consume(lake, stream, aws[1])
    model.check(lake, sent)


def test_start_at_a_time(lake, aws):
    client = aws[0]("kinesis")
    client.create_stream(StreamName="at", ShardCount=2)
    put(client, "at", make(50))
    time.sleep(1.1)
    at = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    time.sleep(0.2)
    events = make(60)
    put(client, "at", events)
    consume(lake, "at", aws[1], "--start", at)
    model.check(lake, events)
    more = make(10)
    put(client, "at", more)
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)  # what was resolved once stays
    consume(lake, "at", aws[1], "--start", later.strftime("%Y-%m-%dT%H:%M:%SZ"))
    model.check(lake, events + more)


def test_split_then_merged(lake, aws):
    """Children after their parents: what was put after a split or merge is committed after all that was put before."""
    client, rounds = aws[0]("kinesis"), []
    client.create_stream(StreamName="again", ShardCount=1)

    def put_round():
        rounds.append(make(120, round=len(rounds)))
        put(client, "again", rounds[-1])

    def opened():
        return [s["ShardId"] for s in client.list_shards(StreamName="again")["Shards"] if "EndingSequenceNumber" not in s["SequenceNumberRange"]]
    put_round()
    client.split_shard(StreamName="again", ShardToSplit=opened()[0], NewStartingHashKey=str(2**127))
    put_round()
    consume(lake, "again", aws[1])
    model.check(lake, sum(rounds, []))
    a, b = opened()
    client.merge_shards(StreamName="again", ShardToMerge=a, AdjacentShardToMerge=b)
    put_round()
    client.split_shard(StreamName="again", ShardToSplit=opened()[0], NewStartingHashKey=str(2**126))
    put_round()
    consume(lake, "again", aws[1])
    model.check(lake, sum(rounds, []))
    began = {}  # the first snapshot that has a round's rows
    table = lake.pyiceberg("order")
    for snapshot in sorted(table.snapshots(), key=lambda x: x.sequence_number):
        for r in set(table.scan(snapshot_id=snapshot.snapshot_id, selected_fields=("round",)).to_arrow()["round"].to_pylist()):
            began.setdefault(r, snapshot.sequence_number)
    assert [began[r] for r in range(len(rounds))] == sorted(set(began.values())), began
    consume(lake, "again", aws[1])
    model.check(lake, sum(rounds, []))
