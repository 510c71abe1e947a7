import sys
from pathlib import Path

import pytest

from captioner.config import ConfigError
from captioner.plots.history import charts_of, plot_history
from tests.speed import slow

HISTORY = [
    {"epoch": 1.0, "loss": 3.0, "val_loss": 3.5, "val_perplexity": 33.1},
    {"epoch": 2.0, "loss": 2.0, "val_loss": 2.5, "val_perplexity": 12.2, "bleu_4": 0.2, "cider_d": 0.5},
]


def test_a_chart_has_the_epochs_that_have_its_numbers():
    charts = dict(charts_of(HISTORY))
    assert list(charts) == ["Loss", "Perplexity on dev", "BLEU-4 on dev", "CIDEr-D on dev"]
    assert charts["Loss"] == {"training": ([1.0, 2.0], [3.0, 2.0]), "dev": ([1.0, 2.0], [3.5, 2.5])}
    assert charts["CIDEr-D on dev"] == {"dev": ([2.0], [50.0])}


def test_a_history_of_before_perplexity_was_noted_has_no_chart_of_it():
    rows = [{key: value for key, value in row.items() if key != "val_perplexity"} for row in HISTORY]
    assert "Perplexity on dev" not in dict(charts_of(rows))


@pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), slow("svg", b"<?xml"), slow("pdf", b"%PDF")])
def test_curves_are_drawn_into_a_file(tmp_path, ending, magic):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"curves.{ending}"
    plot_history(HISTORY, 2, path, "--curves")
    assert path.read_bytes().startswith(magic)


def test_without_matplotlib_one_line_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"^--curves c\.png: needs matplotlib; pip install 'captioner\[plot\]'$"):
        plot_history(HISTORY, None, Path("c.png"), "--curves")
