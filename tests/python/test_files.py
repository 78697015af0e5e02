"""Files: how CSV is written, what Hive folders say, what a run leaves that does not end well."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import time
from datetime import timezone
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest
from conftest import FORMS, ROOT, export, run
from readers import schema

import logscan

#: Values that have to be put in quotes, and such that a spreadsheet runs.
AWKWARD = ["a,b", 'say "no"', "two\nlines", "\r\n", "=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\u00fc\u4e16", " blank "]


@pytest.fixture
def awkward(tmp_path: Path) -> Path:
    """A line for each of them, as its user agent."""
    log = tmp_path / "awkward.log"
    with log.open("w") as out:
        for number, value in enumerate(AWKWARD):
            leg = {"start_time": f"2026-03-01T10:00:{number:02}Z", "response_code": 200, "user_agent": value}
            leg |= {"upstream_cluster": "outbound|80||a", "response_flags": None, "upstream_host": "10.0.0.1:80"}
            leg |= {"bytes_sent": 1 << 53 | 1, "bytes_received": number, "duration": (1 << 62) + number}
            out.write(json.dumps(leg) + "\n")
    return log


def csv_of(log: Path, *options: str) -> tuple[bytes, list[str]]:
    columns = "line,user_agent,bytes_sent,start_time,response_flags,doubtful"
    done = run("export", "--table=legs", "--to=-", "--export-format=csv", f"--columns={columns}", *options, str(log))
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode(), newline="")))
    assert [row["line"] for row in rows] == [str(number + 1) for number in range(len(AWKWARD))]
    assert rows[0]["start_time"] == "2026-03-01T10:00:00.000Z" and rows[0]["response_flags"] == ""
    assert rows[0]["doubtful"] == "false"
    return done.stdout, [row["user_agent"] for row in rows]


def test_csv_is_that_of_rfc_4180(awkward: Path) -> None:
    text, agents = csv_of(awkward)
    assert agents == AWKWARD
    assert text.count(b'"say ""no"""') == 1 and text.endswith(b"\r\n")
    # Everything but the breaks that stand in values.
    assert text.count(b"\r\n") == len(AWKWARD) + 1 + 1


def test_csv_is_safe_for_spreadsheets_on_request(awkward: Path) -> None:
    _, agents = csv_of(awkward, "--csv-safe")
    assert agents == ["'" + value if value[0] in "=+-@\t\r\n" else value for value in AWKWARD]


@pytest.mark.parametrize("ending", FORMS)
def test_numbers_past_53_bits_keep_their_digits(awkward: Path, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"legs.{ending}"
    export("--to", str(file), "--columns=bytes_sent,duration", str(awkward), tables=["legs"])
    readers: dict[str, Any] = {
        "csv": lambda: polars.read_csv(file),
        "parquet": lambda: polars.read_parquet(file),
        "arrow": lambda: polars.read_ipc(file),
        "arrows": lambda: polars.read_ipc_stream(file),
        "ndjson": lambda: polars.read_ndjson(file),
    }
    frame = readers[ending]()
    assert frame["bytes_sent"].to_list() == [9007199254740993] * len(AWKWARD)
    assert frame["duration"].to_list() == [(1 << 62) + number for number in range(len(AWKWARD))]
    paths = {"csv": pandas.read_csv, "parquet": pandas.read_parquet}
    if ending in paths:
        assert paths[ending](file)["duration"].tolist() == frame["duration"].to_list()


# Parquet for old readers.


def test_parquet_declares_text_that_old_readers_know(story: str, tmp_path: Path) -> None:
    file = tmp_path / "legs.parquet"
    export("--to", str(file), story, tables=["legs"])
    metadata = pa.parquet.read_metadata(file)
    assert metadata.metadata[b"logscan.table"] == b"legs"
    assert metadata.row_group(0).column(0).compression == "ZSTD"
    assert {str(item.type) for item in pa.parquet.read_schema(file)} == {
        "large_string",
        "int64",
        "int32",
        "bool",
        "timestamp[us, tz=UTC]",
    }
    old = os.environ.get("OLD_PYARROW")
    if not old:
        pytest.skip("OLD_PYARROW names no Python with pyarrow 14")
    script = "import sys, pyarrow, pyarrow.parquet as p; t = p.read_table(sys.argv[1]); print(pyarrow.__version__, t.num_rows, t['pod'][0])"
    said = subprocess.run([old, "-c", script, file], capture_output=True, text=True, check=True).stdout
    assert said.startswith("14.") and said.split()[1:] == ["7", "manager-7948dffbdd-p44xx"]


# Hive folders.

KEYS = ["date", "hour", "namespace"]
ORDER = [("source", "ascending"), ("line", "ascending")]


@pytest.fixture(scope="module")
def hive(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pa.Table]:
    """A log in folders, and the same as one table, sorted."""
    folder = tmp_path_factory.mktemp("hive")
    to = folder / "parts"
    # As nodes keep logs, so that the path says the namespace; some hours and days apart.
    for number, line in enumerate(generated.read_text("latin-1").split("\n")[:-1]):
        pod, _, access = (line + "  ").split(" ", 2)
        log = folder / f"var/log/pods/ns{len(pod) % 3}_{pod}_b3c1e0de-1111-2222-3333-444455556666/istio-proxy/0.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="latin-1") as out:
            out.write(access.replace("T23:", f"T{number % 3:02}:", 1).replace("-28T", f"-{20 + number % 2}T", 1) + "\n")
    generated = folder / "var"
    export(str(generated), "--to", str(to), f"--partition-by={','.join(KEYS)}", tables=["legs"])
    export(str(generated), "--to", str(folder / "legs.parquet"), tables=["legs"])
    whole = pa.parquet.read_table(folder / "legs.parquet").sort_by(ORDER)
    assert len(list(to.rglob("*.parquet"))) > 5 and not list(to.glob(".*"))
    return to, whole


def check(found: dict[str, list[Any]], whole: pa.Table) -> None:
    """All columns are there, keys say what the rows say."""
    order = sorted(range(whole.num_rows), key=lambda row: (found["source"][row], found["line"][row]))
    for name in whole.schema.names:
        if name != "namespace":
            assert [found[name][row] for row in order] == whole[name].to_pylist(), name
    assert [str(found["namespace"][row]) for row in order] == whole["namespace"].to_pylist()
    begun = [at.astimezone(timezone.utc) for at in whole["start_time"].to_pylist()]
    assert [str(found["date"][row]) for row in order] == [str(at.date()) for at in begun]
    assert [int(found["hour"][row]) for row in order] == [at.hour for at in begun]


def test_polars_reads_hive_folders(hive: tuple[Path, pa.Table]) -> None:
    frame = polars.read_parquet(hive[0] / "**/*.parquet", hive_partitioning=True)
    check(frame.to_dict(as_series=False), hive[1])


def test_pyarrow_reads_hive_folders(hive: tuple[Path, pa.Table]) -> None:
    check(pa.dataset.dataset(hive[0], partitioning="hive").to_table().to_pydict(), hive[1])


def test_pandas_reads_hive_folders(hive: tuple[Path, pa.Table]) -> None:
    frame = pandas.read_parquet(hive[0], dtype_backend="pyarrow")
    check(pa.Table.from_pandas(frame).to_pydict(), hive[1])


def test_duckdb_reads_hive_folders(hive: tuple[Path, pa.Table]) -> None:
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    relation = connection.read_parquet(str(hive[0] / "**/*.parquet"), hive_partitioning=True)
    rows = relation.fetchall()
    check({name: [row[number] for row in rows] for number, name in enumerate(relation.columns)}, hive[1])
    assert connection.sql("select 1").fetchall()


def test_spark_reads_hive_folders(hive: tuple[Path, pa.Table], spark: Any) -> None:
    check(spark.read.parquet(str(hive[0])).toArrow().to_pydict(), hive[1])


# Runs that do not end well.


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("ending", FORMS)
def test_a_killed_run_leaves_no_file(tmp_path: Path, number: signal.Signals, ending: str) -> None:
    before = b"what was there\n"
    file = tmp_path / f"legs.{ending}"
    file.write_bytes(before)
    lines = (ROOT / "samples/hazelcast-lab/istio-1.9.log").read_bytes()
    words = [str(logscan.binary()), "export", "--table=legs", "--columns=line,pod", f"--to={file}"]
    # Enough for a group of rows in one form; in the others all rows still wait.
    times = 400 if ending == "parquet" else 10
    # Only a run whose input is not at its end is in the middle for certain.
    program = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.stdin is not None
    for second in range(times):
        program.stdin.write(lines.replace(b"2020-", b"%04d-" % (1600 + second)))
    program.stdin.flush()
    time.sleep(0.2)
    program.send_signal(number)
    _, said = program.communicate(timeout=60)
    assert program.returncode == (-9 if number == signal.SIGKILL else 130)
    assert number == signal.SIGKILL or b"interrupted: nothing was written" in said
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {file.name: before}


@pytest.mark.parametrize("ending", FORMS)
def test_a_full_disk_is_trouble(generated: Path, ending: str) -> None:
    words = ["export", "--table=legs", "--to=/dev/full", f"--export-format={FORMS[ending]}", str(generated)]
    done = run(*words)
    assert done.returncode == 2
    assert re.match(b"logscan: /dev/full: .*No space left on device", done.stderr), done.stderr


def test_a_full_file_system_leaves_no_file(generated: Path, tmp_path: Path) -> None:
    mounted = tmp_path / "small"
    mounted.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "small", mounted]).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        for more in ([], ["--partition-by=namespace"]):
            to = mounted / ("parts" if more else "legs.csv")
            done = run("export", "--table=legs", f"--to={to}", "--export-format=csv", str(generated), *more)
            said = done.stderr.decode()
            assert done.returncode == 2 and "No space left on device" in said and str(mounted) in said, said
            assert [path for path in mounted.rglob("*") if path.is_file() or path.name.startswith(".")] == []
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_the_schema_is_that_of_the_files(story: str, tmp_path: Path) -> None:
    export("--to", str(tmp_path), story, tables=["legs", "traffic"])
    for table in ("legs", "traffic"):
        assert pa.parquet.read_schema(tmp_path / f"{table}.parquet").names == list(schema(table))
