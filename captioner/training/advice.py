"""Notes for the user about training on few pictures, and about captions that do not depend on the picture."""

from __future__ import annotations

from collections.abc import Mapping

FEW = 1000  # training pictures; scripts/bench small measures the scores with fewer


def about_data(pictures: int, dev: int, batch_size: int, passes: int) -> list[str]:
    """Return notes on the size of the training and dev splits.

    Args:
        pictures: pictures of the training split.
        dev: pictures of the dev split.
        batch_size: pictures per step.
        passes: passes over the training pictures in an epoch.
    """
    notes = []
    if pictures < FEW:
        notes.append(
            f"{pictures} training pictures are few: captions will be simple and often wrong; every hundred more "
            f"pictures improve them. An epoch goes over them {_times(passes)}, in batches of {batch_size}"
        )
    if dev < 20:
        notes.append(f"{dev} dev pictures are few: their scores are imprecise, and the best epoch is partly chance")
    return notes


def about_captions(best: Mapping[str, float], dev: int) -> list[str]:
    """Return notes on dev captions that are empty or all the same, from the best epoch's row.

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
            f"all {dev} dev captions are the same: the model does not use the picture; train longer "
            "(--set train.epochs=...) or on more pictures"
        ]
    return []


def describe_beside(cider_d: float, baseline: float, shuffled: float) -> str:
    """Return one line that compares a run's captions of the dev pictures with others, by CIDEr-D.

    Args:
        cider_d: of the run's captions.
        baseline: of the nearest-neighbour baseline on the same pictures.
        shuffled: of the run's captions when each is assigned to another picture.
    """
    ours, theirs, chance = (100 * value for value in (cider_d, baseline, shuffled))
    verdict = "the model is better" if ours > theirs else "the model is no better: it needs more pictures"
    return (
        f"dev CIDEr-D {ours:.1f}; captions copied from the most similar training pictures score {theirs:.1f} "
        f"({verdict}); the model's captions, assigned to the wrong pictures, score {chance:.1f}"
    )


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
