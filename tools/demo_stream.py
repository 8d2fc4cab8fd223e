"""Creates a stream at the endpoint of the environment: demo_stream.py create NAME SHARDS"""
import os
import sys
import time

import boto3

_, _, name, shards = sys.argv
client = boto3.client("kinesis", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
for attempt in range(100):
    try:
        client.create_stream(StreamName=name, ShardCount=int(shards))
        break
    except Exception as error:  # not up yet
        if attempt == 99:
            sys.exit(f"demo: no Kinesis stand-in at {os.environ['AWS_ENDPOINT_URL']}: {error}")
        time.sleep(0.2)
print(f"stream {name}: {shards} shards")
