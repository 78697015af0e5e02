"""Every form of every table, read by every library, holds what the JSON report says: values, types, gaps and zones."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pyarrow.parquet
import pytest
from conftest import TABLES, Exported
from readers import READERS, Columns, schema

import expected

#: The values of a table are compared once in every library; the rows of JSON are made once.
_EXPECTED: dict[tuple[int, str], dict[str, list[Any]]] = {}


def should_be(tables: Exported, table: str, keys: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """The columns that the JSON tells, in the order of the rows that were read."""
    known = _EXPECTED.get((id(tables), table))
    if known is None:
        columns = list(schema(table))
        rows = expected.TABLES[table](tables.document, columns)
        assert sorted(keys, key=str) == sorted(rows, key=str)
        told = [column for column in columns if column not in expected.UNSAID.get(table, ())]
        known = {column: [rows[key][column] for key in keys] for column in told}
        known["key"] = keys
        _EXPECTED[(id(tables), table)] = known
    assert known["key"] == keys, "rows come in another order"
    return known


def comparable(column: str, cells: list[Any]) -> list[Any]:
    """The order of keys in a JSON object means nothing."""
    if column.endswith("extra"):
        return [None if cell is None else json.dumps(json.loads(cell), sort_keys=True) for cell in cells]
    return cells


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("ending, library", READERS)
def test_every_column_is_what_the_report_says(
    tables: Exported, table: str, ending: str, library: str, request: pytest.FixtureRequest
) -> None:
    wanted = schema(table)
    if library == "spark" and tables.folder.name.startswith("generated"):
        pytest.skip("Spark takes a second a table")
    spark = request.getfixturevalue("spark") if library == "spark" else None
    found = READERS[(ending, library)](tables.file(table, ending), wanted, spark)
    assert list(found) == list(wanted)
    count = len(next(iter(found.values())))
    keys = [
        expected.key(table, {name: found[name][number] for name in found if name.endswith(("source", "line"))}, number)
        for number in range(count)
    ]
    for column, cells in should_be(tables, table, keys).items():
        if column == "key":
            continue
        got = comparable(column, found[column])
        if (ending, library) == ("csv", "spark"):
            # Its parser makes every line end in a value a \n.
            cells = [cell.replace("\r\n", "\n") if isinstance(cell, str) else cell for cell in cells]
        differences = [row for row in range(count) if got[row] != cells[row]]
        at = differences[0] if differences else 0
        assert not differences, f"{column}: {got[at]!r}, not {cells[at]!r}, in {keys[at]}, and {len(differences)} in all"
    unsaid(tables, table, found)


def unsaid(tables: Exported, table: str, found: Columns) -> None:
    """What the report says of the whole only."""
    lines = tables.document["lines"]
    if table == "legs":
        # Lines that were there before go no further, nor what ztunnel says when a connection begins.
        formats = Counter(found["format"])
        assert set(formats) <= set(lines["formats"])
        assert 0 <= lines["access"] - lines["repeated"] - formats.total() <= formats["ztunnel"]
        assert set(found["doubtful"]) <= {True, False} and sum(found["doubtful"]) <= lines["doubtful"]
    # The lines of all formats are of no one mesh: who is who changes while they are read.
    if table == "connections" and not tables.folder.name.startswith("formats"):
        calls: Counter[tuple[str, str, str]] = Counter()
        rows = zip(found["source_workload"], found["destination_service"], found["outbound_upstream_cluster"])
        for source, destination, cluster in rows:
            if cluster is not None:
                calls[(source, destination, cluster)] += 1
        told = {(row["source"], row["destination"], row["cluster"]): row["connections"] for row in tables.document["traffic"]}
        assert all(told.get(call) == count for call, count in calls.items())
        for wanted, chosen in zip(found["expected_cluster"], found["outbound_upstream_cluster"]):
            assert wanted is None or wanted != chosen and wanted.startswith("outbound|")


def test_the_inputs_say_something_in_every_column(tables: Exported) -> None:
    """A comparison of nothing with nothing shows nothing."""
    for table in TABLES:
        found = pyarrow.parquet.read_table(tables.file(table, "parquet"))
        empty = {name for name in found.schema.names if found[name].null_count == found.num_rows}
        if tables.folder.name.startswith("formats") and table == "legs":
            # No line of ours is of a mesh of several Kubernetes clusters.
            assert empty == {"source_cluster", "destination_cluster"}
        if tables.folder.name.startswith("samples"):
            assert not empty or table in ("legs", "connections")
