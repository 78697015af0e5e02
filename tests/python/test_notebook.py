"""The notebook runs, and what it shows is what it showed when it was committed."""

from __future__ import annotations

import json
import re
from typing import Any

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient

PATH = ROOT / "samples/notebook/hazelcast.ipynb"


@pytest.fixture(scope="module")
def cells() -> list[tuple[Any, Any]]:
    """Each cell of code as it is committed, and as it runs now."""
    notebook = nbformat.read(PATH, as_version=4)
    again = nbformat.from_dict(json.loads(json.dumps(notebook)))
    NotebookClient(again, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(PATH.parent)}}).execute()
    return [(old, new) for old, new in zip(notebook.cells, again.cells) if old.cell_type == "code"]


def shown(cell: Any) -> list[str]:
    """Text and tables; of a picture only that it is one, as its bytes are another version's of matplotlib."""
    return [
        output.get("text") or "".join(output["data"].get("text/plain", "")) if "image/png" not in output.get("data", {}) else "picture"
        for output in cell.outputs
    ]


def test_it_shows_what_is_committed(cells: list[tuple[Any, Any]]) -> None:
    assert len(cells) > 5 and sum("picture" in shown(new) for _, new in cells) == 3
    for old, new in cells:
        assert shown(new) == shown(old), old.source


def test_its_key_tables_are_those_of_the_recording(cells: list[tuple[Any, Any]]) -> None:
    """The counts that samples/hazelcast-lab/README.md gives, which come from the clients and servers themselves."""
    text = "\n".join(part for _, new in cells for part in shown(new))
    for row in [
        r"BlackHoleCluster +3 +3 ",
        r"PassthroughCluster +24 +0 ",
        r"outbound\|5701\|\|app-ext\.app\.svc\.cluster\.local +18 +18 ",
        r"legacy\.legacy\.svc\.cluster\.local +6 +0 ",
        r"R301 +unexpected-cluster +error +likely +1 ",
    ]:
        assert re.search(row, text), row


def test_nothing_of_a_machine_is_in_it() -> None:
    text = PATH.read_text()
    assert not re.search(r"/(home|root|tmp|work|usr)/|iopub|shell\.execute", text)
