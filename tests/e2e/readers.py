"""A table as each reader that we did not write sees it: ({column: type}, {event_uuid: {column: cell}}).

Types are texts, a dict for a struct's fields, [type] for a list's. Times are microseconds."""
import pyarrow as pa
import pyarrow.parquet as pq


def pyiceberg(lake, name):
    table = lake.pyiceberg(name)
    types = {f.name: iceberg_type(f.field_type) for f in table.schema().fields}
    return types, by_uuid(table.scan().to_arrow())


def iceberg_type(t):
    from pyiceberg.types import ListType, StructType
    if isinstance(t, StructType):
        return {f.name: iceberg_type(f.field_type) for f in t.fields}
    if isinstance(t, ListType):
        return [iceberg_type(t.element_type)]
    return str(t)


def arrow_type(t):
    if pa.types.is_struct(t):
        return {f.name: arrow_type(f.type) for f in t}
    if pa.types.is_list(t) or pa.types.is_large_list(t):
        return [arrow_type(t.value_type)]
    if pa.types.is_timestamp(t):
        return "timestamptz" if t.unit == "us" and t.tz else str(t)
    return {"bool": "boolean", "int64": "long", "large_string": "string", "binary": "binary"}.get(str(t), str(t))


def by_uuid(table, key="event_uuid"):
    for i, f in enumerate(table.schema):
        if pa.types.is_timestamp(f.type):
            table = table.set_column(i, f.name, table.column(i).cast(pa.timestamp("us")).cast(pa.int64()))
    rows = {}
    for row in table.to_pylist():
        assert row[key] not in rows, f"twice: {row[key]}"
        rows[row[key]] = row
    return rows


def duckdb(lake, name):
    arrow = lake.duckdb_arrow(name)
    return {f.name: arrow_type(f.type) for f in arrow.schema}, by_uuid(arrow)


def pyarrow(lake, name):
    """The data files alone, their columns found by Iceberg's field ids."""
    table = lake.pyiceberg(name)
    schema = table.schema()
    types, rows = {}, {}
    for task in table.scan().plan_files():
        file = pq.read_table(task.file.file_path.removeprefix("file://"), partitioning=None)
        assert file.num_rows == task.file.record_count
        there = {field_id(f): f for f in file.schema}
        assert len(there) == len(file.schema), "a field id stands twice"
        columns, names = [], []
        for f in schema.fields:
            if f.field_id in there:
                types[f.name] = file_type(there[f.field_id], f.field_type, types.get(f.name))
                columns.append(file.column(file.schema.get_field_index(there[f.field_id].name)))
                names.append(f.name)
        for uuid, row in by_uuid(pa.table(columns, names=names)).items():
            assert uuid not in rows
            rows[uuid] = {f.name: by_id(row.get(f.name), there.get(f.field_id), f.field_type) for f in schema.fields}
    return types, rows


def field_id(arrow_field):
    return int(arrow_field.metadata[b"PARQUET:field_id"])


def file_type(arrow_field, iceberg, known):
    """The file's own type of a column, in the table's names; of several files the union."""
    from pyiceberg.types import ListType, StructType
    if isinstance(iceberg, StructType):
        there = {field_id(f): f for f in arrow_field.type}
        known = known or {}
        return {f.name: file_type(there[f.field_id], f.field_type, known.get(f.name)) if f.field_id in there else known.get(f.name)
                for f in iceberg.fields if f.field_id in there or f.name in known}
    if isinstance(iceberg, ListType):
        element = arrow_field.type.value_field
        assert field_id(element) == iceberg.element_id
        return [file_type(element, iceberg.element_type, known[0] if known else None)]
    return arrow_type(arrow_field.type)


def by_id(value, arrow_field, iceberg):
    from pyiceberg.types import ListType, StructType
    if value is None or arrow_field is None:
        return None
    if isinstance(iceberg, StructType):
        there = {field_id(f): f for f in arrow_field.type}
        return {f.name: by_id(value[there[f.field_id].name], there[f.field_id], f.field_type) if f.field_id in there else None
                for f in iceberg.fields}
    if isinstance(iceberg, ListType):
        return [by_id(v, arrow_field.type.value_field, iceberg.element_type) for v in value]
    return value



# ---- comparing with the model

def empty_lists(v, t):
    """PyIceberg 0.12.0 reads a null list as an empty one, wherever it projects: as it sees both."""
    if isinstance(t, list):
        return [empty_lists(x, t[0]) for x in v or []]
    if isinstance(t, dict):
        return v and {k: empty_lists(v[k], t[k]) for k in t}
    return v


def same_cell(a, b):
    """By value and type; -0.0 and 0.0 are one, and a long is not a double."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_cell(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same_cell, a, b))
    return type(a) is type(b) and a == b


ALL = {"pyiceberg": pyiceberg, "duckdb": duckdb, "pyarrow": pyarrow}
