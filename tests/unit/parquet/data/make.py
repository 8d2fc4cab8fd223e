"""Writes the files that test_foreign.c reads: the same 300 rows from pyarrow in several encodings, and from DuckDB."""
import pathlib
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

here = pathlib.Path(__file__).parent
n = range(300)
t = pa.table({
    "number": pa.array([None if i % 7 == 0 else i * i - 1000 for i in n], pa.int64()),
    "small": pa.array([i * 40000000 % 2**32 - 2**31 for i in n], pa.int32()),
    "text": pa.array([None if i % 11 == 0 else f"row-{i // 3}" for i in n]),
    "flag": pa.array([i % 3 == 0 for i in n]),
    "half": pa.array([i / 2 for i in n], pa.float32()),
    "real": pa.array([i / 8 for i in n], pa.float64()),
    "list": pa.array([None if i % 5 == 0 else list(range(i % 4)) for i in n], pa.list_(pa.int64())),
})
plain = {c: "PLAIN" for c in ["number", "small", "text", "half", "real", "list.list.element"]}
delta = {"number": "DELTA_BINARY_PACKED", "small": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY", "flag": "RLE",
         "half": "BYTE_STREAM_SPLIT", "real": "BYTE_STREAM_SPLIT", "list.list.element": "DELTA_BINARY_PACKED"}
length = dict(delta, text="DELTA_LENGTH_BYTE_ARRAY")
for name, kw in {
    "snappy_dict_v1": dict(compression="snappy", data_page_size=300, write_batch_size=50),
    "zstd_dict_v2": dict(compression="zstd", data_page_version="2.0"),
    "none_plain_v1": dict(compression="none", use_dictionary=False, column_encoding=plain),
    "gzip_delta_v2": dict(compression="gzip", use_dictionary=False, column_encoding=delta, data_page_version="2.0"),
    "zstd_length_v1": dict(compression="zstd", use_dictionary=False, column_encoding=length),
}.items():
    pq.write_table(t, here / f"{name}.parquet", row_group_size=170, **kw)
duckdb.sql(f"copy t to '{here}/duckdb.parquet' (format parquet, compression snappy)")
