"""Plots replace plots, and nothing else."""

import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure

from captioner.plots.statistics import FORMATS, require_plot, save
from captioner.storage import DataError


@pytest.mark.parametrize("kind", FORMATS)
def test_a_plot_may_be_drawn_again(tmp_path, kind):
    path = tmp_path / f"plot.{kind}"
    require_plot(path)
    save(Figure(), path)
    require_plot(path)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_photograph_is_not_replaced(tmp_path, kind):
    path = tmp_path / f"photo.{kind}"
    path.write_bytes(b"\x89PNG something else")
    with pytest.raises(DataError, match="already exists and is not a plot of captioner"):
        require_plot(path)
