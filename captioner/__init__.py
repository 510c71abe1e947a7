"""captioner: train, evaluate and serve image-captioning models from one command line.

    import captioner

    model = captioner.load("runs/captioner")
    print(model.caption("a.jpg").text)

`captioner.load(path)` returns a trained `Captioner`, whose `caption` method says what it takes and gives; everything
else is reached through its own module, so that importing the package costs nothing. `keras.saving.load_model` knows
captioners too once the package is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from captioner.registration import register_captioner

if TYPE_CHECKING:
    from os import PathLike

    from captioner.captioner import Captioner
    from captioner.export.fast import FastCaptioner

__version__ = "0.1.0"

register_captioner()


@overload
def load(path: str | PathLike[str], fast: Literal[False] = False) -> Captioner: ...
@overload
def load(path: str | PathLike[str], fast: Literal[True]) -> FastCaptioner: ...
@overload
def load(path: str | PathLike[str], fast: bool) -> Captioner | FastCaptioner: ...


def load(path: str | PathLike[str], fast: bool = False) -> Captioner | FastCaptioner:
    """Load a trained captioner from a run folder or a `.keras` file.

    Args:
        path: the folder or file.
        fast: load the run's graph for onnxruntime instead, which takes a fraction of the time and of the memory;
            `captioner export RUN` makes it. `caption` is the same, with the same captions.

    Raises:
        captioner.storage.DataError: there is none at `path`, or it was saved by something else; with `fast`, there is
            no graph, or it was made from another `.keras` file.
    """
    if fast:
        from captioner.export.fast import load_fast

        return load_fast(path)
    from captioner.captioner import load as load_captioner

    return load_captioner(path)
