"""The training pictures with their captions that a captioner keeps, to compare its captions with."""

from __future__ import annotations

import logging

import numpy as np

from captioner.captioner import Captioner
from captioner.models.fine_tuned import FineTunedDecoder
from captioner.stages.training_inputs import TrainingInputs
from captioner.training.baseline import AT_ONCE, Streamed
from captioner.training.similar_pictures import FEWEST, MOST, SimilarPictures

logger = logging.getLogger(__name__)


def similar_pictures(captioner: Captioner, prepared: TrainingInputs, keep_captions: bool) -> SimilarPictures | None:
    """Return at most MOST of the training pictures with their references; None if there are too few.

    If encoder layers are trained on features in a stream, the result is also None: a stream cannot be read in parts.

    Args:
        captioner: the trained captioner.
        prepared: what it was trained on.
        keep_captions: see TrainConfig; without, the result is None.
    """
    found = _found(captioner, prepared) if keep_captions else None
    if found is None and captioner.generation.consensus:
        logger.warning(
            f"generation.consensus: has no effect in this run; it needs {FEWEST} training pictures or more and "
            "train.keep_captions, and does not work with encoder layers that are trained on a stream"
        )
    return found


def _found(captioner: Captioner, prepared: TrainingInputs) -> SimilarPictures | None:
    ids = list(prepared.training)
    ids = ids[:: -(-len(ids) // MOST)]
    features = prepared.features
    if isinstance(features, Streamed):
        if isinstance(captioner.decoder, FineTunedDecoder):
            return None
        vectors = features.averaged(ids)
    else:
        parts = (features.gather(ids[start : start + AT_ONCE]) for start in range(0, len(ids), AT_ONCE))
        vectors = np.concatenate([captioner.vectors(part) for part in parts])  # (pictures, channels)
    return SimilarPictures.of(vectors, [prepared.words[image_id] for image_id in ids])
