"""What tests share: inputs, the program's exports of them, one Spark for all."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator

import pytest

import logscan

ROOT = Path(__file__).resolve().parents[2]
TABLES = ["legs", "connections", "findings", "traffic"]
#: The forms by the ending of their files.
FORMS = {"csv": "csv", "parquet": "parquet", "arrow": "arrow", "arrows": "arrow-stream", "ndjson": "ndjson"}


@dataclass
class Exported:
    """An input, what the program's JSON says of it, and where its tables are."""

    logs: list[str]
    folder: Path
    document: dict[str, Any]
    done: set[str] = field(default_factory=set)

    def file(self, table: str, ending: str) -> Path:
        """A table in a form; all tables of a form are written at once."""
        if ending not in self.done:
            export(*self.logs, "--to", str(self.folder), "--export-format", FORMS[ending], tables=TABLES)
            self.done.add(ending)
        return self.folder / f"{table}.{ending}"


def run(*words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The program's answer, whatever it is."""
    return subprocess.run([str(logscan.binary()), *words], capture_output=True, timeout=300, **options)


def export(*words: str, tables: list[str] = ["connections"]) -> None:
    """An export that must go well."""
    done = run("export", *(f"--table={table}" for table in tables), *words)
    assert done.returncode == 0, done.stderr.decode()


def exported(logs: list[str], folder: Path) -> Exported:
    done = run("-o", "json", "--connections", *logs)
    assert done.returncode == 0, done.stderr.decode()
    return Exported(logs, folder, json.loads(done.stdout))


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of a made-up mesh: what the benches write, which .ci/python makes beforehand."""
    named = os.environ.get("GENERATED_LOG")
    if not named:
        pytest.skip("GENERATED_LOG names no log of `cargo bench --bench generate`")
    return Path(named)


def formats(folder: Path) -> list[str]:
    """The sample lines of all formats: between them they fill every column that a line can."""
    files = sorted((ROOT / "grammar/formats").glob("*.toml"))
    for file in files:
        lines = [sample["line"] for sample in tomllib.loads(file.read_text())["sample"]]
        (folder / f"{file.stem}.log").write_text("".join(line + "\n" for line in lines))
    assert len(files) > 15
    # What no sample line has: keys of rarely used commands, and what a collector adds.
    line = {
        "start_time": "2026-03-01T10:00:00.123456Z",
        "response_code": 200,
        "bytes_sent": 9007199254740993,
        "bytes_received": 9007199254740995,
        "duration": 5,
        "upstream_cluster": "outbound|80|v1|api.shop.svc.cluster.local",
        "upstream_host": "10.0.0.2:8080",
        "upstream_local_address": "10.0.0.1:40000",
        "downstream_local_address": "10.96.0.1:80",
        "downstream_remote_address": "10.0.0.1:40001",
        "downstream_direct_remote_address": "10.0.0.9:1",
        "istio_policy_status": "x",
        "my_header": "x",
        "path": "/a,b?q=\"c\"\n=1+1",
        "user_agent": '=HYPERLINK("http://x.example"),\r\n"quoted"',
        "authority": "@SUM(1)",
    }
    kubernetes = {"pod_name": "web-1", "namespace_name": "shop", "container_name": "istio-proxy", "host": "node-1"}
    wrapped = {"time": "2026-03-01T10:00:01.5Z", "stream": "stdout", "log": json.dumps(line), "kubernetes": kubernetes}
    (folder / "wrapped.log").write_text(json.dumps(wrapped) + "\n")
    return [str(folder)]


@pytest.fixture(scope="session", params=["samples", "formats", "generated"])
def tables(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Every sample log in one run, lines of every format in another, a generated log in the third."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "samples":
        logs = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "samples").glob("*/*.log"))
        assert len(logs) > 80
    elif request.param == "formats":
        logs = formats(tmp_path_factory.mktemp("lines"))
    else:
        logs = [str(request.getfixturevalue("generated"))]
    return exported(logs, folder)


@pytest.fixture(scope="session")
def story() -> str:
    """The log of the story."""
    return str(ROOT / "samples/story/story.log")


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs are named as in the repository."""
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One session: starting Spark takes longer than all that it does here."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    # Not the machine's zone: an instant must not depend on it.
    builder = builder.config("spark.sql.session.timeZone", "America/Caracas").config("spark.sql.shuffle.partitions", 1)
    builder = builder.config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("spark")))
    # A hundred and more columns, and few rows: compiling queries would take most of the time.
    builder = builder.config("spark.sql.codegen.wholeStage", "false").config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    builder = builder.config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
    session = builder.config("spark.driver.memory", "1g").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()
