"""What a user should know about a training on few pictures, and about captions that say nothing."""

from __future__ import annotations

from collections.abc import Mapping

from captioner.training.best_epoch import CHANCE

FEW = 1000  # training pictures; scripts/bench small shows what fewer give


def about_data(pictures: int, dev: int, batch_size: int, passes: int) -> list[str]:
    """Return notes on the size of the training and dev splits.

    Args:
        pictures: of the training split.
        dev: pictures of the dev split.
        batch_size: pictures a step.
        passes: over the training pictures, an epoch.
    """
    notes = []
    if pictures < FEW:
        notes.append(
            f"{pictures} training pictures are few: captions will be simple and often wrong, and better with every "
            f"hundred more. An epoch goes over them {_times(passes)}, in batches of {batch_size}"
        )
    if dev < 20:
        notes.append(f"{dev} dev pictures are few: their scores say little, and chance has a part in the best epoch")
    return notes


def about_captions(best: Mapping[str, float], dev: int) -> list[str]:
    """Return notes on dev captions that say nothing, from the best epoch's row.

    Args:
        best: the row of the run's history.
        dev: pictures of the dev split.
    """
    if best["distinct"] == 0:
        return [
            "every dev caption is empty: the model has learned no words; train longer (--set train.epochs=...) or give "
            "it more captions"
        ]
    if best["distinct"] == 1 and dev > 1:
        return [
            f"all {dev} dev captions are alike: the model does not look at the picture; train longer "
            "(--set train.epochs=...) or on more pictures"
        ]
    return []


def describe_beside(best: Mapping[str, float], baseline: Mapping[str, float]) -> str:
    """Return one line that says how good a training's dev CIDEr-D is.

    Args:
        best: the best epoch's scores.
        baseline: of the nearest-neighbour baseline, on the same pictures.
    """
    ours, theirs, chance = (100 * value for value in (best["cider_d"], baseline["cider_d"], best[CHANCE]))
    verdict = "the model is better" if ours > theirs else "the model is no better: it needs more pictures"
    return (
        f"dev CIDEr-D {ours:.1f}; captions copied from the most similar training pictures score {theirs:.1f} "
        f"({verdict}), the model's own on wrong pictures {chance:.1f}"
    )


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
