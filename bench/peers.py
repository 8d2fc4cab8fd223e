"""The others, each in a process of its own: peers.py NAME EVENTS.ndjson DIR.

"payload": the envelope's columns and the record as one string. "typed": every field a column, one table per event type.
Malformed records are left out, duplicates are not looked for: less work than inlet does."""
import collections
import datetime
import json
import os
import pathlib
import sys

name, source, to = sys.argv[1:]


def duckdb_payload():
    import duckdb
    c = duckdb.connect()
    c.execute("SET threads = 1; SET preserve_insertion_order = false")
    c.execute(f"""COPY (
        SELECT json ->> 'event_uuid' AS event_uuid, json ->> 'event_name' AS event_name, sent AS created_at,
               strftime(make_timestamp(CAST(sent * 1e6 AS BIGINT)), '%Y-%m-%dT%H:%M:%S.%fZ') AS created_datetime,
               split_part(json ->> 'event_name', ':', 1) AS event_type, split_part(json ->> 'event_name', ':', 2) AS event_subtype,
               CAST(make_timestamp(CAST(sent * 1e6 AS BIGINT)) AS DATE) AS day, json AS payload
        FROM (SELECT json, TRY_CAST(json ->> 'created_at' AS DOUBLE) AS sent
              FROM (SELECT CASE WHEN json_valid(column0) THEN column0 END AS json
                    FROM read_csv('{source}', header = false, delim = chr(1), quote = '', escape = '', auto_detect = false,
                                  columns = {{'column0': 'VARCHAR'}}, max_line_size = 20000000)))
        WHERE sent IS NOT NULL AND (json ->> 'event_name') IS NOT NULL)
        TO '{to}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (event_type, day), OVERWRITE_OR_IGNORE)""")


def duckdb_typed():
    """One pass to infer, then a table of each type: what its own reader offers for mixed events."""
    import duckdb
    c = duckdb.connect()
    c.execute("SET threads = 1; SET preserve_insertion_order = false; SET max_expression_depth = 10000")
    c.execute(f"""COPY (
        SELECT *, split_part(event_name, ':', 1) AS event_type, split_part(event_name, ':', 2) AS event_subtype
        FROM read_ndjson('{source}', records = true, ignore_errors = true, maximum_object_size = 20000000, sample_size = 20000, union_by_name = true)
        WHERE event_name IS NOT NULL)
        TO '{to}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (event_type), OVERWRITE_OR_IGNORE)""")


def chdb_payload():
    os.chdir(to)
    import chdb
    chdb.query(f"""INSERT INTO FUNCTION file('{to}/out_{{_partition_id}}.parquet', 'Parquet') PARTITION BY part
        SELECT JSONExtractString(line, 'event_uuid') AS event_uuid, JSONExtractString(line, 'event_name') AS event_name,
               JSONExtractFloat(line, 'created_at') AS created_at,
               formatDateTime(toDateTime64(created_at, 6, 'UTC'), '%Y-%m-%dT%H:%i:%S.%fZ') AS created_datetime,
               splitByChar(':', event_name)[1] AS event_type, splitByChar(':', event_name)[2] AS event_subtype, line AS payload,
               concat(replaceRegexpAll(event_type, '[^A-Za-z0-9]', '_'), '_', toString(toDate(toDateTime(toInt64(created_at), 'UTC')))) AS part
        FROM file('{source}', 'LineAsString', 'line String') WHERE isValidJSON(line) AND event_name != ''
        SETTINGS max_threads = 1, max_insert_threads = 1, output_format_parquet_compression_method = 'zstd',
                 max_partitions_per_insert_block = 100000""")


def put(by_table):
    import pyarrow as pa
    import pyarrow.parquet as pq
    for (kind, day), rows in by_table.items():
        columns = {}
        for key in dict.fromkeys(k for r in rows for k in r):
            values = [r.get(key) for r in rows]
            try:
                columns[key] = pa.array(values)
            except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):  # kinds that conflict: as text
                columns[key] = pa.array([v if v is None or isinstance(v, str) else json.dumps(v) for v in values])
        path = pathlib.Path(to) / f"event_type={kind}" / f"day={day}"
        path.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path / f"{len(list(path.iterdir()))}.parquet", compression="zstd")


def pyarrow_typed():
    """A script as one would write it: json.loads, a list of dicts per type and day, pyarrow."""
    by_table, n = collections.defaultdict(list), 0
    utc = datetime.timezone.utc
    for line in open(source, "rb"):
        try:
            e = json.loads(line)
            at = datetime.datetime.fromtimestamp(float(e["created_at"]) / (1000 if float(e["created_at"]) > 1e11 else 1), utc)
            parts = e["event_name"].split(":")
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        e["created_datetime"], e["event_type"], e["event_subtype"] = at.isoformat(), parts[0], parts[1] if len(parts) > 1 else None
        e["event_time"] = at
        e["created_at"] = float(e["created_at"])
        by_table[parts[0].replace("/", "_"), at.date()].append(e)
        n += 1
        if n % 500_000 == 0:
            put(by_table)
            by_table.clear()
    put(by_table)


def durable():
    """When inlet ends, what it committed is on the disk: so is theirs."""
    for path in pathlib.Path(to).rglob("*.parquet"):
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)


{"duckdb": duckdb_payload, "duckdb_typed": duckdb_typed, "chdb": chdb_payload, "pyarrow": pyarrow_typed}[name]()
durable()
