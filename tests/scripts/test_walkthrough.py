"""scripts/walkthrough.ipynb: readable as it is, and it runs from start to end."""

import os
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "scripts" / "walkthrough.ipynb"
LARGEST = 300_000  # bytes, with its outputs


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell):
    """Return what a cell shows: its pictures, and what else. A warning may come before the text or behind it."""
    found = [
        output.get("name") or next((one for one in output["data"] if one.startswith("image/")), "text")
        for output in cell.outputs
    ]
    return {*found} - {"text"}, sum(kind.startswith("image/") for kind in found)


def test_it_can_be_read_without_running_it():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert NOTEBOOK.stat().st_size < LARGEST
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))
    assert sum(kinds(cell)[1] for cell in code(notebook)) >= 4
    assert any("stdout" in kinds(cell)[0] for cell in code(notebook))
    said = [one.text for cell in code(notebook) for one in cell.outputs if one.get("name") == "stderr"]
    assert all(line.startswith("some of these pictures are unlike") for line in said), said
    text = NOTEBOOK.read_text()
    assert "Traceback" not in text and str(Path.home()) not in text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of Jupyter's own
def test_it_runs_from_start_to_end(monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    kept, run = (nbformat.read(NOTEBOOK, as_version=4) for _ in range(2))
    place = {"metadata": {"path": NOTEBOOK.parent}}
    NotebookClient(run, timeout=1800, kernel_name="python3", resources=place).execute()
    for before, after in zip(code(kept), code(run), strict=True):
        assert kinds(before) == kinds(after), before.source
    captions = "".join(
        output.text
        for cell in code(run)
        if "model.caption(pictures)" in cell.source
        for output in cell.outputs
        if output.get("name") == "stdout"
    )
    assert len(captions.splitlines()) == 4, captions
