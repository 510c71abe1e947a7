"""Kills within an epoch, and what a run that was resumed must equal."""

import contextlib
import shutil

import numpy as np
import pytest

import captioner
from captioner.training.epoch_end import EpochEnd


@contextlib.contextmanager
def killed_after(monkeypatch, place, folder, copy):
    """Copy a run's folder when the checkpoint at (epoch, batch) has been written: a kill would leave the copy."""
    save = EpochEnd.save

    def save_and_keep(end):
        save(end)
        if (end.progress.epoch, end.progress.step) == place:
            shutil.copytree(folder, copy)

    with monkeypatch.context() as patch:
        patch.setattr(EpochEnd, "save", save_and_keep)
        yield
    assert copy.exists()


def assert_same_runs(whole, resumed, folder, other, but=()):
    """Check that two runs, with these results and folders, have one history and the same weights.

    `but` names columns of the history that are not compared.
    """
    assert (resumed.total_steps, resumed.best_epoch) == (whole.total_steps, whole.best_epoch)
    for row, again in zip(whole.history, resumed.history, strict=True):
        assert row.keys() == again.keys()
        for name in row.keys() - {"seconds", *but}:
            assert row[name] == pytest.approx(again[name], abs=2e-6), name
    weights = [captioner.load(path).get_weights() for path in (folder, other)]
    for one, again in zip(*weights, strict=True):
        np.testing.assert_allclose(one, again, atol=1e-6)
