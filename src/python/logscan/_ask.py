"""What the program says at once: its report, its schema, its version."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from typing import Any, NamedTuple, Optional, Union

from ._binary import binary
from ._scan import Table
from ._trouble import judge
from ._words import Moment, Path, Paths, words


class Column(NamedTuple):
    """A column of a table; without a unit, or where a value always is, the text is empty."""

    name: str
    type: str
    unit: str
    meaning: str
    absent: str
    source: str


def report(
    paths: Paths,
    *,
    connections: bool = False,
    where: Optional[str] = None,
    since: Optional[Moment] = None,
    until: Optional[Moment] = None,
    format: Union[str, Iterable[str], None] = None,
    format_file: Optional[Paths] = None,
    expect: Optional[Path] = None,
    mesh: Optional[Paths] = None,
    mesh_after: Optional[Paths] = None,
    redact: bool = False,
    threads: int = 0,
) -> dict[str, Any]:
    """The report of `logscan -o json`: findings, lines, connections, traffic, services, addresses, ...

    connections: also every connection with both of its legs, as `connection_list`.
    mesh_after: the configuration that may come; says which of the connections would go elsewhere.
    redact: stand-ins for addresses, names, paths and values.
    The other options are those of `scan`.

    Raises LogscanError if there is no report, and warns with LogscanWarning if only a part of the input could be read.
    """
    asked = words(
        paths,
        output="json",
        connections=connections,
        where=where,
        since=since,
        until=until,
        format=format,
        format_file=format_file,
        expect=expect,
        mesh=mesh,
        mesh_after=mesh_after,
        redact=redact,
        threads=threads,
    )
    run = _run(asked)
    document: dict[str, Any] = json.loads(run.stdout or "{}")
    has_rows = bool(document) and document["lines"]["access"] > 0
    judge(run.returncode, run.stderr, has_rows)
    return document


def schema(table: Table) -> list[Column]:
    """The columns of a table, in order: name, type, unit, what they mean, when there is no value, where it comes from."""
    document = json.loads(_ask(["schema", f"--table={table}", "--json"]))
    return [Column(**column) for column in document["tables"][table]]


def version() -> str:
    """The program's version."""
    return _ask(["--version"]).decode().split()[-1]


def _ask(words: list[str]) -> bytes:
    run = _run(words)
    judge(run.returncode, run.stderr, has_rows=False)
    return run.stdout


def _run(words: list[str]) -> subprocess.CompletedProcess[bytes]:
    stdin = None if words[-1] == "-" else subprocess.DEVNULL
    # Ends the program if it is interrupted itself.
    return subprocess.run([str(binary()), *words], stdin=stdin, capture_output=True, check=False)
