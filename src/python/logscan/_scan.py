"""`scan`: tables of what a log says, for whatever reads tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Optional, Union

from ._stream import Reader
from ._words import Moment, Path, Paths, words

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars
    import pyarrow as pa

#: The tables: a row a line, a connection, a finding; who called whom over what.
Table = Literal["legs", "connections", "findings", "traffic"]


class Scan:
    """A table that is yet to be read. Each call of a method runs the program once, from the beginning.

    All methods raise LogscanError if the program cannot do what was asked, and warn with LogscanWarning if it could read
    only a part. It is an Arrow stream by itself, so that whatever takes one takes it: `polars.DataFrame(scan)`,
    `duckdb.sql("from scan")`.
    """

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def reader(self) -> Reader:
        """Batch by batch, while the program reads: a pyarrow.RecordBatchReader.

        Close it, or use it in a `with`, to end the program before its time; dropping it does the same.
        """
        return Reader(self._words)

    def to_arrow(self) -> pa.Table:
        """All rows as a pyarrow.Table."""
        with self.reader() as reader:
            return reader.read_all()

    def to_polars(self) -> polars.DataFrame:
        """All rows as a polars.DataFrame."""
        import polars

        frame = polars.from_arrow(self.to_arrow())
        assert isinstance(frame, polars.DataFrame)
        return frame

    def to_pandas(self) -> pandas.DataFrame:
        """All rows as a pandas.DataFrame.

        Numbers and truths are of pandas' nullable types (Int64, Int32, boolean): one that is missing does not turn the
        others into floats. Text is `string`, instants are in UTC.
        """
        import pandas
        import pyarrow as pa

        types = {
            pa.int64(): pandas.Int64Dtype(),
            pa.int32(): pandas.Int32Dtype(),
            pa.bool_(): pandas.BooleanDtype(),
            pa.large_string(): pandas.StringDtype("pyarrow"),
        }
        return self.to_arrow().to_pandas(types_mapper=types.get, split_blocks=True, self_destruct=True)

    def to_duckdb(
        self, name: str, connection: Optional[duckdb.DuckDBPyConnection] = None
    ) -> duckdb.DuckDBPyRelation:
        """All rows as the table `name` of a DuckDB database, which is replaced if it is there; gives it back as a relation.

        Without a connection it is DuckDB's default database, which `duckdb.sql` asks. Rows go there batch by batch.
        """
        import duckdb

        connection = duckdb.default_connection() if connection is None else connection
        quoted = '"' + name.replace('"', '""') + '"'
        with self.reader() as logscan_rows:
            try:
                connection.register("logscan_rows", logscan_rows)
                connection.execute(f"create or replace table {quoted} as from logscan_rows")
            except duckdb.Error:
                # DuckDB knows the words of an error only.
                if logscan_rows.trouble is not None:
                    raise logscan_rows.trouble from None
                raise
            finally:
                connection.unregister("logscan_rows")
        return connection.table(quoted)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Arrow's own way to hand on a stream. Source: Arrow PyCapsule interface."""
        return self.reader().__arrow_c_stream__(requested_schema)


def scan(
    paths: Paths,
    table: Table = "connections",
    *,
    columns: Optional[Iterable[str]] = None,
    where: Optional[str] = None,
    since: Optional[Moment] = None,
    until: Optional[Moment] = None,
    format: Union[str, Iterable[str], None] = None,
    format_file: Optional[Paths] = None,
    expect: Optional[Path] = None,
    mesh: Optional[Paths] = None,
    threads: int = 0,
) -> Scan:
    """A table of what logs say. Nothing is read before a method of the Scan is called.

    paths: files, folders, archives, patterns, one or several; `-` is standard input.
    table: `legs` (a row a line), `connections` (a row a connection), `findings`, `traffic` (who called whom, how often).
    columns: only these, in this order; `schema(table)` has their names.
    where: only rows for which this holds: `'response_flags contains UF and upstream_cluster starts with "outbound|5701"'`.
    since, until: leave out what ended before, what began then or later; text, a date, or a datetime with a time zone.
    format, format_file: formats of your own, tried first.
    expect: a file that says what may call what; deviations are findings.
    mesh: the mesh's configuration, to prove findings with.
    threads: that read files, 0 for one a core.

    Raises ValueError if no path is named, or a datetime has no time zone.
    """
    chosen = None if columns is None else ",".join([columns] if isinstance(columns, str) else columns)
    asked = words(
        paths,
        table=table,
        to="-",
        export_format="arrow-stream",
        columns=chosen,
        where=where,
        since=since,
        until=until,
        format=format,
        format_file=format_file,
        expect=expect,
        mesh=mesh,
        threads=threads,
    )
    return Scan(["export", *asked])
