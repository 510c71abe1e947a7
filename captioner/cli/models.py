"""Load the model for predict and serve: its graph on onnxruntime if it has one, or Keras."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from captioner.cli.backend import load_keras

if TYPE_CHECKING:
    from captioner.images.picture_list import PictureFiles
    from captioner.loading import Named
    from captioner.picture_captioner import PictureCaptioner

logger = logging.getLogger(__name__)

FAST_UP_TO = 100  # pictures

Loaded = tuple["PictureCaptioner", "dict[str, Any] | None"]


def suits_graph(files: PictureFiles, running: dict[str, Any], arriving: bool) -> bool:
    """Tell whether onnxruntime is faster: with many pictures, Keras' batches make up for its slow start."""
    plain = running["engine"] in (None, "local") and running["precision"] in (None, "auto", "float32")
    return plain and running["batch_size"] is None and not arriving and len(files) <= FAST_UP_TO


def load_graph(models: tuple[Named, ...], count: int, generation: dict[str, Any]) -> Loaded | None:
    """Return the same as `load_models`, with the run's graph on onnxruntime; None if that is not possible."""
    if len(models) > 1 or find_spec("onnxruntime") is None:
        return None
    from captioner.export.fast import NoGraphError, UnsupportedSettingError, has_graph, load_fast

    if not has_graph(models[0]):
        return None
    try:
        captioner = load_fast(models[0])
        captioner.wide_search(count, **captioner.widened(count, generation))
        captioner.find_encoder()
    except (NoGraphError, UnsupportedSettingError) as error:
        loaded = load_models(models)  # before the warning: if this fails, its error is enough
        logger.warning(f"{error}; using Keras, which takes seconds to start")
        return loaded
    return captioner, captioner.encoder_description if len(captioner.feature_shape) == 2 else None


def load_models(models: tuple[Named, ...], precision: str | None = None) -> Loaded:
    """Return the captioner (an ensemble for several models), and the description of the encoder whose grid it uses.

    Args:
        models: the models' names.
        precision: of a KerasHub model.
    """
    load_keras()
    from captioner import loading
    from captioner.captioner import Captioner
    from captioner.storage import DataError

    captioner = loading.load_models(models, precision)
    if not isinstance(captioner, Captioner):
        return captioner, None
    members = getattr(captioner, "members", [captioner])
    for model, member in zip(models, members, strict=True):
        try:
            member.find_encoder()
        except DataError as error:
            raise DataError(f"{model}: {error}") from None
    looking = [member.encoder_description for member in members if len(member.decoder.feature_shape) == 2]
    return captioner, looking[0] if looking else None
