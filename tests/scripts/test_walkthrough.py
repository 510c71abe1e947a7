"""The notebook: small and whole as it lies there, and executed from start to end."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "scripts" / "walkthrough.ipynb"


@pytest.fixture
def notebook():
    import nbformat

    found = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(found)
    return found


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def pictures(notebook):
    return [kind for output in outputs(notebook) for kind in output.get("data", {}) if kind.startswith("image/")]


def test_it_can_be_read_without_running_it(notebook):
    assert NOTEBOOK.stat().st_size < 400_000
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert not [output for output in outputs(notebook) if output.output_type == "error"]
    assert len(pictures(notebook)) >= 3
    text = json.dumps(outputs(notebook))
    assert "BLEU-4" in text and "/tmp/" not in text and "/home/" not in text and "/root" not in text


@pytest.mark.slow
def test_it_runs_from_start_to_end(notebook, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    root = NOTEBOOK.parents[1]
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    before = outputs(notebook)
    client = NotebookClient(notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    done = client.execute()
    assert [output.output_type for output in outputs(done)] == [output.output_type for output in before]
    assert len(pictures(done)) >= 3
    assert [path for path in tmp_path.iterdir() if path.name != "ipython"] == []  # what it made is gone
