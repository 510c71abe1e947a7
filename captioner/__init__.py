"""captioner: train, evaluate and serve image-captioning models from one command line.

    import captioner

    model = captioner.load("runs/captioner")
    print(model.caption("a.jpg").text)

`captioner.load(path)` returns a trained `Captioner`, whose `caption` method says what it takes and gives; everything
else is reached through its own module, so that importing the package costs nothing. `keras.saving.load_model` knows
captioners too once the package is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from captioner.registration import register_captioner

if TYPE_CHECKING:
    from captioner.captioner import Captioner

__version__ = "0.1.0"

register_captioner()


def load(path: str) -> Captioner:
    """Load a trained captioner from a run folder or a `.keras` file.

    Raises:
        captioner.storage.DataError: there is none at `path`, or it was saved by something else.
    """
    from captioner.captioner import load as load_captioner

    return load_captioner(path)
