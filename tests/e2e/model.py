"""A naive model of the whole program: what a row must give back, and which records become rows.

It knows nothing of shapes, epochs or columns: an event is a Python dict, and a row of the lake, with its
_rescued set at its pointers, has to be that dict again (null and absent being one)."""
import json

ENVELOPE = ["event_uuid", "event_name", "created_at", "created_datetime", "event_type", "event_subtype",
            "event_time", "_arrived_at", "_shard", "_sequence", "_rescued"]


def normal(value):
    """null and absent are one, in objects; a list keeps its nulls."""
    if isinstance(value, dict):
        return {k: normal(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [normal(v) for v in value]
    return value


def same(a, b):
    """Equal by value, but true is not 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) is str and a == b or (not isinstance(a, str) and a == b)


def key_of(field):
    return field.name if field.doc is None else field.doc  # "" is a key


def from_column(value, field_type):
    from pyiceberg.types import ListType, StructType
    if value is None:
        return None
    if isinstance(field_type, StructType):
        out = {}
        for f in field_type.fields:
            v = from_column(value[f.name], f.field_type)
            if v is not None:
                out[key_of(f)] = v
        return out
    if isinstance(field_type, ListType):
        return [from_column(v, field_type.element_type) for v in value]
    return value


def set_pointer(root, pointer, value):
    parts = [p.replace("~1", "/").replace("~0", "~") for p in pointer.split("/")[1:]]
    at = root
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        if isinstance(at, list):
            index = int(part)
            while len(at) <= index:
                at.append(None)
            if last:
                at[index] = value
            else:
                if at[index] is None:
                    at[index] = {}
                at = at[index]
        elif last:
            at[part] = value
        else:
            at = at.setdefault(part, {})


def rebuild(row, schema):
    """The event that a row stands for."""
    event = {k: row[k] for k in ("event_uuid", "event_name", "created_at")}
    for f in schema.fields:
        if f.name not in ENVELOPE:
            v = from_column(row.get(f.name), f.field_type)
            if v is not None:
                event[key_of(f)] = v
    for pointer, value in json.loads(row["_rescued"] or "{}").items():
        set_pointer(event, pointer, value)
    return event


def check(lake, events):
    """Every event is one row that rebuilds it; nothing else is there. `events` are dicts, no duplicates."""
    expected = {e["event_uuid"]: e for e in events}
    seen = {}
    for table in lake.tables():
        if table.startswith("inlet_"):
            continue
        schema = lake.pyiceberg(table).schema()
        for row in lake.rows(table):
            assert row["event_uuid"] not in seen, f"twice: {row['event_uuid']}"
            seen[row["event_uuid"]] = table
            event = expected.get(row["event_uuid"])
            assert event is not None, f"not sent: {row}"
            got, want = normal(rebuild(row, schema)), normal(event)
            assert same(got, want), f"\nsent {want}\ngot  {got}\nrow  {row}"
    missing = expected.keys() - seen.keys()
    assert not missing, f"lost {len(missing)}: {[expected[m] for m in list(missing)[:2]]}"
    return seen
