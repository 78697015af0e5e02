"""Each library's way to read each form, and the types that it must find.

A reader gives plain Python values: a list for every column, None where there is none, instants with their zone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timezone
from pathlib import Path
from typing import Any

import duckdb
import fastparquet
import pandas
import polars
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.feather
import pyarrow.json
import pyarrow.parquet

import logscan

#: The types of the schema, and what each library makes of them where a file says them.
KINDS = ["text", "int64", "int32", "boolean", "timestamp[us, UTC]"]
ARROW = dict(zip(KINDS, [pa.large_string(), pa.int64(), pa.int32(), pa.bool_(), pa.timestamp("us", "UTC")]))
PANDAS = dict(zip(KINDS, ["string", "Int64", "Int32", "boolean", "datetime64[us, UTC]"]))
UTC = polars.Datetime("us", "UTC")
POLARS = dict(zip(KINDS, [polars.String(), polars.Int64(), polars.Int32(), polars.Boolean(), UTC]))
DUCKDB = dict(zip(KINDS, ["VARCHAR", "BIGINT", "INTEGER", "BOOLEAN", "TIMESTAMP WITH TIME ZONE"]))
SPARK = dict(zip(KINDS, ["string", "bigint", "int", "boolean", "timestamp"]))

Columns = dict[str, list[Any]]
Schema = dict[str, str]


def schema(table: str) -> Schema:
    """The types by the names of the columns, as the program says them."""
    return {column.name: column.type for column in logscan.schema(table)}  # type: ignore[arg-type]


def of_arrow(table: pa.Table, wanted: Schema, texts: tuple[pa.DataType, ...] = (pa.large_string(),)) -> Columns:
    """Arrow's values; `texts` are types that text may have beside."""
    assert table.schema.names == list(wanted)
    for item in table.schema:
        kind = wanted[item.name]
        assert item.type in (texts if kind == "text" else (ARROW[kind],)), f"{item.name}: {item.type}"
    return {name: table[name].to_pylist() for name in table.schema.names}


def of_pandas(frame: pandas.DataFrame, wanted: Schema) -> Columns:
    assert list(frame.columns) == list(wanted)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {n: PANDAS[k] for n, k in wanted.items()}
    return {name: values(frame[name]) for name in frame.columns}


def values(series: pandas.Series) -> list[Any]:
    """Without pandas' kinds of nothing and of instants."""
    instants = isinstance(series.dtype, pandas.DatetimeTZDtype)
    there = series.notna().tolist()
    return [
        None if not is_there else one.to_pydatetime() if instants else one
        for one, is_there in zip(series.tolist(), there)
    ]


def of_polars(frame: polars.DataFrame, wanted: Schema) -> Columns:
    assert dict(frame.schema) == {name: POLARS[kind] for name, kind in wanted.items()}
    return frame.to_dict(as_series=False)


def of_duckdb(relation: duckdb.DuckDBPyRelation, wanted: Schema) -> Columns:
    types = dict(zip(relation.columns, map(str, relation.types)))
    assert types == {name: DUCKDB[kind] for name, kind in wanted.items()}
    rows = relation.fetchall()
    return {name: [row[number] for row in rows] for number, name in enumerate(relation.columns)}


def of_spark(frame: Any, wanted: Schema) -> Columns:
    assert dict(frame.dtypes) == {name: SPARK[kind] for name, kind in wanted.items()}
    found = frame.toArrow().to_pydict()
    # In the session's zone.
    for name, kind in wanted.items():
        if kind == KINDS[-1]:
            found[name] = [at and at.astimezone(timezone.utc) for at in found[name]]
    return found


# CSV and JSON lines say no types: they are read with those of `logscan schema`.


def pandas_csv(path: Path, wanted: Schema, _: Any) -> Columns:
    times = [name for name, kind in wanted.items() if kind == KINDS[-1]]
    types = {name: PANDAS[kind] for name, kind in wanted.items() if name not in times}
    frame = pandas.read_csv(path, dtype=types, keep_default_na=False, na_values=[""])
    return of_pandas(with_instants(frame, times), wanted)


def pandas_ndjson(path: Path, wanted: Schema, _: Any) -> Columns:
    times = [name for name, kind in wanted.items() if kind == KINDS[-1]]
    types = {name: PANDAS[kind] for name, kind in wanted.items() if name not in times}
    # pandas' own reader makes floats of numbers with gaps, which lose digits past 2^53.
    frame = pandas.read_json(path, lines=True, engine="pyarrow", dtype_backend="pyarrow")
    return of_pandas(with_instants(frame.astype(types), times), wanted)


def with_instants(frame: pandas.DataFrame, times: list[str]) -> pandas.DataFrame:
    for name in times:
        frame[name] = pandas.to_datetime(frame[name], utc=True, format="ISO8601").astype("datetime64[us, UTC]")
    return frame


def pyarrow_csv(path: Path, wanted: Schema, _: Any) -> Columns:
    types = {name: ARROW[kind] for name, kind in wanted.items()}
    convert = pa.csv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""])
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    return of_arrow(pa.csv.read_csv(path, convert_options=convert, parse_options=parse), wanted)


def pyarrow_ndjson(path: Path, wanted: Schema, _: Any) -> Columns:
    # Its reader of JSON knows no zone: instants come as text, and are cast.
    first = {name: pa.string() if kind == KINDS[-1] else ARROW[kind] for name, kind in wanted.items()}
    options = pa.json.ParseOptions(explicit_schema=pa.schema(list(first.items())))
    table = pa.json.read_json(path, parse_options=options)
    return of_arrow(table.cast(pa.schema([(name, ARROW[kind]) for name, kind in wanted.items()])), wanted)


def polars_csv(path: Path, wanted: Schema, _: Any) -> Columns:
    return of_polars(polars.read_csv(path, schema={name: POLARS[kind] for name, kind in wanted.items()}), wanted)


def polars_ndjson(path: Path, wanted: Schema, _: Any) -> Columns:
    times = [name for name, kind in wanted.items() if kind == KINDS[-1]]
    types = {name: polars.String if name in times else POLARS[kind] for name, kind in wanted.items()}
    frame = polars.read_ndjson(path, schema=types)
    return of_polars(frame.with_columns(polars.col(times).str.to_datetime(time_unit="us", time_zone="UTC")), wanted)


def duckdb_csv(path: Path, wanted: Schema, _: Any) -> Columns:
    types = {name: DUCKDB[kind] for name, kind in wanted.items()}
    return of_duckdb(database().read_csv(str(path), columns=types, header=True, quotechar='"', escapechar='"'), wanted)


def duckdb_ndjson(path: Path, wanted: Schema, _: Any) -> Columns:
    types = {name: DUCKDB[kind] for name, kind in wanted.items()}
    return of_duckdb(database().read_json(str(path), columns=types, format="newline_delimited"), wanted)


def database() -> duckdb.DuckDBPyConnection:
    """An empty database. It shows instants in its zone; UTC compares with the rest."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    return connection


def ddl(wanted: Schema) -> str:
    return ", ".join(f"`{name}` {SPARK[kind]}" for name, kind in wanted.items())


def spark_csv(path: Path, wanted: Schema, spark: Any) -> Columns:
    reader = spark.read.schema(ddl(wanted)).option("header", True).option("multiLine", True).option("escape", '"')
    return of_spark(reader.csv(str(path)), wanted)


def spark_ndjson(path: Path, wanted: Schema, spark: Any) -> Columns:
    return of_spark(spark.read.schema(ddl(wanted)).json(str(path)), wanted)


# The others say their types.


def fastparquet_parquet(path: Path, wanted: Schema, _: Any) -> Columns:
    """Which leaves the zone out, and has objects for text."""
    frame = fastparquet.ParquetFile(str(path)).to_pandas()
    assert list(frame.columns) == list(wanted)
    for name, kind in wanted.items():
        if kind == KINDS[-1]:
            frame[name] = frame[name].dt.tz_localize("UTC")
    return of_pandas(frame.astype({name: PANDAS[kind] for name, kind in wanted.items()}), wanted)


def arrow_stream(path: Path) -> pa.Table:
    with pa.ipc.open_stream(path) as reader:
        return reader.read_all()


def pandas_of(table: pa.Table, wanted: Schema) -> Columns:
    kinds = {ARROW[kind]: pandas.api.types.pandas_dtype(PANDAS[kind]) for kind in KINDS[:-1]}
    return of_pandas(table.to_pandas(types_mapper=kinds.get), wanted)


def duckdb_of(data: Any, wanted: Schema) -> Columns:
    connection = database()
    connection.register("data", data)
    return of_duckdb(connection.table("data"), wanted)


#: By form and library.
READERS: dict[tuple[str, str], Callable[[Path, Schema, Any], Columns]] = {
    ("csv", "pandas"): pandas_csv,
    ("csv", "polars"): polars_csv,
    ("csv", "pyarrow"): pyarrow_csv,
    ("csv", "duckdb"): duckdb_csv,
    ("csv", "spark"): spark_csv,
    ("ndjson", "pandas"): pandas_ndjson,
    ("ndjson", "polars"): polars_ndjson,
    ("ndjson", "pyarrow"): pyarrow_ndjson,
    ("ndjson", "duckdb"): duckdb_ndjson,
    ("ndjson", "spark"): spark_ndjson,
    ("parquet", "pandas"): lambda path, wanted, _: of_pandas(
        pandas.read_parquet(path, dtype_backend="numpy_nullable"), wanted
    ),
    ("parquet", "polars"): lambda path, wanted, _: of_polars(polars.read_parquet(path), wanted),
    ("parquet", "pyarrow"): lambda path, wanted, _: of_arrow(pa.parquet.read_table(path), wanted),
    ("parquet", "duckdb"): lambda path, wanted, _: of_duckdb(database().read_parquet(str(path)), wanted),
    ("parquet", "spark"): lambda path, wanted, spark: of_spark(spark.read.parquet(str(path)), wanted),
    ("parquet", "fastparquet"): fastparquet_parquet,
    ("arrow", "pandas"): lambda path, wanted, _: of_pandas(
        pandas.read_feather(path, dtype_backend="numpy_nullable"), wanted
    ),
    ("arrow", "polars"): lambda path, wanted, _: of_polars(polars.read_ipc(path), wanted),
    ("arrow", "pyarrow"): lambda path, wanted, _: of_arrow(pa.feather.read_table(path), wanted),
    ("arrow", "duckdb"): lambda path, wanted, _: duckdb_of(pa.dataset.dataset(path, format="ipc"), wanted),
    ("arrow", "spark"): lambda path, wanted, spark: of_spark(
        spark.createDataFrame(pa.feather.read_table(path)), wanted
    ),
    ("arrows", "pandas"): lambda path, wanted, _: pandas_of(arrow_stream(path), wanted),
    ("arrows", "polars"): lambda path, wanted, _: of_polars(polars.read_ipc_stream(path), wanted),
    ("arrows", "pyarrow"): lambda path, wanted, _: of_arrow(arrow_stream(path), wanted),
    ("arrows", "duckdb"): lambda path, wanted, _: duckdb_of(pa.ipc.open_stream(path), wanted),
    ("arrows", "spark"): lambda path, wanted, spark: of_spark(spark.createDataFrame(arrow_stream(path)), wanted),
}
