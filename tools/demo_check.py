"""demo_check.py LAKE SENT: is each event that was sent in the lake once? Also a query or two."""
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "e2e"))
import conftest  # noqa: E402
import duckdb  # noqa: E402

lake = conftest.Lake(pathlib.Path(sys.argv[1]).resolve())
con = duckdb.connect(config={"allow_unsigned_extensions": "true"})
for name in ("avro", "iceberg"):
    con.execute(f"LOAD '{conftest.extension(name)}'")
tables = [t for t in lake.tables() if not t.startswith("inlet_")]
union = " UNION ALL ".join(
    f"SELECT event_type, event_subtype, event_time FROM iceberg_scan('{lake.pyiceberg(t).metadata_location}')" for t in tables)
print("\nDuckDB: the busiest event types and subtypes")
print(con.sql(f"SELECT event_type, event_subtype, count(*) AS events, min(event_time) AS first, max(event_time) AS last "
              f"FROM ({union}) GROUP BY ALL ORDER BY events DESC LIMIT 8"))

began = time.time()
sent, records, bad = set(), 0, 0
for line in open(sys.argv[2], "rb"):
    records += 1
    try:
        event = json.loads(line)
        at = float(event["created_at"])
        if not (event["event_uuid"] and event["event_name"].split(":")[0] and 0 <= at):
            raise ValueError
        sent.add(event["event_uuid"])
    except Exception:
        bad += 1
found, rows = set(), 0
for t in tables:
    ids = lake.pyiceberg(t).scan(selected_fields=("event_uuid",)).to_arrow()["event_uuid"].to_pylist()
    rows += len(ids)
    found.update(ids)
dead = lake.pyiceberg("inlet_dead_letters").scan(selected_fields=("reason",)).to_arrow().num_rows if "inlet_dead_letters" in lake.tables() else 0
print(f"sent {records:,} records: {len(sent):,} distinct events, {bad:,} malformed, {records - bad - len(sent):,} duplicates")
print(f"PyIceberg: {rows:,} rows in {len(tables)} tables, {len(found):,} distinct event_uuid, {dead:,} dead letters ({time.time() - began:.0f} s)")
if rows != len(found) or found != sent:
    sys.exit(f"demo: WRONG: {len(sent - found):,} lost, {rows - len(found):,} twice, {len(found - sent):,} unknown")
print("every expected event_uuid is there exactly once")
