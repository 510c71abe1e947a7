"""Load Keras without the startup messages of its backend."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator


def load_keras() -> None:
    """Import keras and its backend; hide what they print to stderr unless the import fails.

    TensorFlow logs from C++ before any setting of its own can silence it.

    Raises:
        ConfigError: see captioner.keras_settings.import_keras.
    """
    from captioner.keras_settings import find_backend, import_keras

    if "keras" not in sys.modules:
        find_backend()
        with _stderr_hidden():
            import_keras()

            logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of every new shape


@contextlib.contextmanager
def _stderr_hidden() -> Iterator[None]:
    """Redirect file descriptor 2 to a temporary file; print its content if the block raises."""
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except Exception:
            os.dup2(real, 2)
            kept.seek(0)
            os.write(2, kept.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)
