"""How reliable a captioner's captions are: its confidence, fitted on dev, and signs of a collapsed model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from captioner.captioner import Captioner
from captioner.data.batches import Features
from captioner.data.captions import Captions
from captioner.generation.caption import Caption
from captioner.generation.corpus import decode
from captioner.metrics import calibration
from captioner.metrics.alarms import Health, health
from captioner.metrics.scorer import Scores, score
from captioner.picture_captioner import PictureCaptioner


def look_at(
    captions: Mapping[str, Caption],
    references: Mapping[str, Sequence[str]],
    max_length: int,
    cider_d: float | None = None,
) -> Health:
    """Check the best captions of a split as a whole, see captioner.metrics.alarms.health."""
    words = {image_id: caption.tokens for image_id, caption in captions.items()}
    texts = {image_id: caption.text for image_id, caption in captions.items()}
    return health(words, texts, references, max_length, cider_d)


def calibrate(captioner: Captioner, captions: Captions, features: Features, split: str = "dev") -> Health:
    """Caption a split that was not trained on, and fit the captioner's confidence to the scores of its captions.

    Args:
        captioner: the captioner, with its familiarity and similar pictures set; gets a calibration if the split is
            large enough.
        captions: references and the split; pictures without references are left out.
        features: of the split's pictures.
        split: name of the split.

    Returns:
        the health of the captions as a whole.
    """
    ids = [image_id for image_id in captions.split(split) if captions.references.get(image_id)]
    references = {image_id: captions.references[image_id] for image_id in ids}
    strangeness: list[float] = []

    def caption(batch: Any, first: int) -> list[list[Caption]]:
        strangeness.extend(captioner.strangeness(batch))
        return captioner.caption_features(batch, 1, first)

    best = {image_id: several[0] for image_id, several in decode(ids, features, caption).items()}
    texts = {image_id: caption.text for image_id, caption in best.items()}
    scores = score(texts, references, ("cider",))
    captioner.calibration = calibration.fit(
        [caption.log_prob for caption in best.values()],
        [len(caption.tokens) for caption in best.values()],
        [scores.per_image[image_id]["cider_d"] for image_id in best],
        strangeness,
        [] if captioner.similar is None else [caption.consensus or 0.0 for caption in best.values()],
    )
    return look_at(best, references, captioner.generation.max_length, scores.corpus["cider_d"])


def reliability_of(
    captioner: PictureCaptioner, captions: Mapping[str, Caption], scores: Scores
) -> calibration.Reliability | None:
    """Return how reliable the captions' confidence is, or None without a confidence or CIDEr-D scores."""
    known = captioner.calibration
    if known is None or not all("cider_d" in scores.per_image[image_id] for image_id in captions):
        return None
    sure = [caption.confidence or 0.0 for caption in captions.values()]
    own = [scores.per_image[image_id]["cider_d"] for image_id in captions]
    return calibration.reliability(sure, own, known.threshold)


def describe_reliability(found: calibration.Reliability) -> list[str]:
    """Return the reliability curve as lines of a table."""
    lines = [
        f"confidence against CIDEr-D: Spearman's rho {found.rho:.2f}; mean calibration error {found.error:.3f}",
        "  confidence  good captions  pictures",
    ]
    return lines + [f"  {each.confidence:10.2f}  {each.good:13.2f}  {each.captions:8}" for each in found.bins]
