"""The package: what it gives, what it raises, and that no program is left behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
import warnings
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import duckdb
import polars
import pyarrow as pa
import pytest
from conftest import ROOT, TABLES
from readers import ARROW, PANDAS, schema

import logscan


@pytest.mark.parametrize("table", TABLES)
def test_every_way_gives_the_same(story: str, table: str) -> None:
    scan = logscan.scan(story, table)  # type: ignore[arg-type]
    arrow = scan.to_arrow()
    wanted = schema(table)
    assert {item.name: item.type for item in arrow.schema} == {name: ARROW[kind] for name, kind in wanted.items()}
    assert arrow.num_rows > 0
    rows = arrow.to_pylist()
    assert scan.to_polars().to_dicts() == rows
    assert polars.DataFrame(scan).to_dicts() == rows
    assert scan.reader().read_all() == arrow
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    relation = scan.to_duckdb('a "table"', connection)
    assert relation.fetchall() == [tuple(row.values()) for row in rows]
    assert connection.sql('select count(*) from "a ""table"""').fetchall() == [(len(rows),)]
    frame = scan.to_pandas()
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {n: PANDAS[k] for n, k in wanted.items()}
    assert pa.Table.from_pandas(frame, schema=arrow.schema).to_pylist() == rows


def test_numbers_stay_whole_in_pandas(story: str) -> None:
    frame = logscan.scan(story).to_pandas()
    assert frame["inbound_line"].isna().any()
    assert frame["inbound_line"].dropna().tolist() == [2, 4, 6]
    assert frame["inbound_mtls"].dtype == "boolean"


def test_duckdb_has_a_database_of_its_own_accord(story: str) -> None:
    logscan.scan(story, "findings").to_duckdb("told")
    assert duckdb.sql("select count(*) from told").fetchall() == [(3,)]


def test_options_reach_the_program(story: str, tmp_path: Path) -> None:
    def lines(**options: object) -> list[int]:
        scan = logscan.scan(story, "legs", columns=["line"], **options)  # type: ignore[arg-type]
        return scan.to_arrow()["line"].to_pylist()

    assert lines() == [1, 2, 3, 4, 5, 6, 7]
    assert lines(where="response_flags contains UF", threads=1) == [7]
    assert lines(since="2020-07-23T14:40:00Z") == [7]
    local = timezone(timedelta(hours=2))
    assert lines(since=datetime(2020, 7, 23, 16, 40, tzinfo=local), until=date(2020, 7, 24)) == [7]
    assert lines(until=date(2020, 7, 23)) == []
    own = tmp_path / "own.log"
    own.write_text("2020-07-23T14:40:00Z 10.0.0.1:80 <- 10.0.0.2:4000\n")
    format = "%START_TIME% %UPSTREAM_HOST% <- %UPSTREAM_LOCAL_ADDRESS%"
    scan = logscan.scan([own], "legs", columns=["upstream_host", "upstream_local_port"], format=[format])
    assert scan.to_arrow().to_pylist() == [{"upstream_host": "10.0.0.1:80", "upstream_local_port": 4000}]
    deviates = logscan.report("samples/expect/deviates.log", expect=Path("samples/expect/expect.toml"))
    assert {"new-caller", "new-destination"} <= {finding["name"] for finding in deviates["findings"]}


def test_the_report_is_the_programs(story: str) -> None:
    report = logscan.report(story, connections=True)
    assert [finding["code"] for finding in report["findings"]] == ["R301", "R101", "T201"]
    assert len(report["connection_list"]) == report["connections"]["total"] == 4
    assert logscan.report(Path(story), redact=True)["redacted"]


def test_the_version_and_the_schema_are_the_programs(story: str) -> None:
    assert logscan.version() in (ROOT / "Cargo.toml").read_text()
    column = logscan.schema("legs")[1]
    assert column == ("line", "int64", "", "the number of the line there, from 1", "", "the run")
    metadata = logscan.scan(story).reader().schema.metadata
    assert metadata[b"logscan.table"] == b"connections"
    assert metadata[b"logscan.version"].decode() == logscan.version()


@pytest.mark.parametrize("way", ["to_arrow", "to_pandas", "to_polars", "to_duckdb", "reader"])
@pytest.mark.parametrize(
    "options, says",
    [
        ({"paths": "no-such.log"}, "no-such.log: No such file or directory"),
        ({"paths": "Cargo.toml"}, "no access line was recognised"),
        ({"where": "nothing is so"}, "no column nothing"),
        ({"columns": ["nothing"]}, 'no column "nothing"'),
        ({"since": "some day"}, "is no time"),
    ],
)
def test_trouble_is_an_exception_with_the_programs_words(
    story: str, way: str, options: dict[str, object], says: str
) -> None:
    scan = logscan.scan(**{"paths": story, **options})  # type: ignore[arg-type]
    with pytest.raises(logscan.LogscanError, match=says) as caught:
        if way == "reader":
            list(scan.reader())
        elif way == "to_duckdb":
            scan.to_duckdb("t", duckdb.connect())
        else:
            getattr(scan, way)()
    assert caught.value.code == 2


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(ValueError, match="no log to read"):
        logscan.scan([])
    with pytest.raises(ValueError, match="no time zone"):
        logscan.scan("x", since=datetime(2020, 7, 23))
    with pytest.raises(logscan.LogscanError):
        logscan.report("no-such.log")
    with pytest.raises(logscan.LogscanError, match="invalid value 'x'"):
        logscan.schema("x")  # type: ignore[arg-type]


def test_a_part_that_cannot_be_read_is_a_warning_behind_the_rows(story: str) -> None:
    for _ in range(2):
        with pytest.warns(logscan.LogscanWarning, match="no-such.log"):
            assert logscan.scan([story, "no-such.log"]).to_arrow().num_rows == 4
    with pytest.warns(logscan.LogscanWarning, match="no-such.log"):
        assert logscan.report([story, "no-such.log"])["lines"]["access"] == 7
    with warnings.catch_warnings():
        warnings.simplefilter("error", logscan.LogscanWarning)
        with pytest.raises(logscan.LogscanWarning):
            logscan.scan([story, "no-such.log"]).to_pandas()


def test_without_a_program_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOGSCAN", str(tmp_path / "absent"))
    with pytest.raises(FileNotFoundError):
        logscan.version()
    monkeypatch.delenv("LOGSCAN")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda *_, **__: str(tmp_path))
    with pytest.raises(logscan.LogscanError, match="not installed"):
        logscan.version()


# What follows reads a pipe that stays open: the program is in the middle of it.


@pytest.fixture
def endless(story: str, tmp_path: Path) -> str:
    """A pipe with more rows than a batch, whose writer never ends."""
    path = tmp_path / "endless.log"
    os.mkfifo(path)
    lines = Path(story).read_text().splitlines(keepends=True)
    script = f"import sys\nout = open({str(path)!r}, 'w')\nfor _ in range(100): out.write({''.join(lines)!r})\nout.flush()\nimport time; time.sleep(600)"
    writer = subprocess.Popen([sys.executable, "-c", script])
    yield str(path)  # type: ignore[misc]
    writer.kill()
    writer.wait()


def children() -> list[str]:
    """Programs of ours that run, or that nobody has waited for."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = stat.read_text().rsplit(")", 1)
        except OSError:
            continue
        if rest.split()[1] == str(os.getpid()) and "logscan" in name:
            found.append(name)
    return found


@pytest.mark.parametrize("end", ["close", "with", "drop", "drop of the stream", "error"])
def test_a_reader_that_is_left_ends_the_program(endless: str, end: str) -> None:
    reader = logscan.scan(endless, "legs").reader()
    assert reader.read_next_batch().num_rows > 0
    assert len(children()) == 1
    if end == "close":
        reader.close()
        reader.close()
    elif end == "with":
        with reader:
            pass
    elif end == "drop":
        del reader
    elif end == "drop of the stream":
        stream = reader.__arrow_c_stream__()
        del reader
        assert len(children()) == 1
        del stream
    else:
        with pytest.raises(ZeroDivisionError), reader:
            1 / 0
    gc.collect()
    assert children() == []


def test_rows_come_before_the_input_ends(endless: str) -> None:
    with logscan.scan(endless, "legs").reader() as reader:
        begun = time.monotonic()
        assert reader.read_next_batch()["line"][0].as_py() == 1
        assert time.monotonic() - begun < 30


def test_an_interrupt_leaves_nothing_behind(endless: str, tmp_path: Path) -> None:
    script = tmp_path / "scan.py"
    script.write_text(
        f"import logscan\nreader = logscan.scan({endless!r}, 'legs').reader()\n"
        "reader.read_next_batch()\nprint('ready', flush=True)\nreader.read_all()\n"
    )
    python = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert python.stdout is not None
    python.stdout.readline()
    (program,) = below(python.pid)
    # To Python only, as Jupyter may do it: a terminal would send it to both.
    python.send_signal(signal.SIGINT)
    _, said = python.communicate(timeout=30)
    assert "KeyboardInterrupt" in said
    assert not Path(f"/proc/{program}").exists()


def below(pid: int) -> list[int]:
    """The children of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_pandas_has_no_floats(story: str) -> None:
    kinds = {str(kind) for kind in logscan.scan(story).to_pandas().dtypes}
    assert not any(kind.lower().startswith("float") or kind == "object" for kind in kinds), kinds
