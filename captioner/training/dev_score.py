"""The dev score of an epoch: generated captions, scored as in the evaluation, and the teacher-forced loss."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from captioner.data.batches import CaptionBatches, Features
from captioner.data.captions import Captions, references_of
from captioner.generation.config import GenerationConfig
from captioner.generation.corpus import decode
from captioner.generation.decode import generate, make_search
from captioner.keras_settings import jit_of_training
from captioner.metrics.scorer import score
from captioner.models.decoder import CaptionDecoder
from captioner.text.vocabulary import Vocabulary
from captioner.training.best_epoch import CHANCE
from captioner.training.losses import CaptionLoss

logger = logging.getLogger(__name__)

BATCH_SIZE = 64  # pictures, for the loss only
MOST_WAYS, ENOUGH = 10, 400  # ways to assign captions to wrong pictures: up to 10, until 400 captions are scored
LARGEST_LOSS = 100.0  # caps the loss in the perplexity, so that the exponential stays finite
EXAMPLES = 3  # captions that are logged, always of the same pictures


class TeacherForced(keras.Model):
    """A decoder that only reads references. It has its own loss, since the training loss may be smoothed or a reward.

    Args:
        decoder: the decoder to evaluate.
    """

    def __init__(self, decoder: CaptionDecoder) -> None:
        super().__init__()
        self.decoder = decoder
        self._of_words = keras.metrics.Mean(name="of_words")
        self.compile(loss=CaptionLoss(), jit_compile=jit_of_training())

    def call(self, inputs: tuple[Any, Any, Any], training: bool = False) -> Any:
        """Return the logits (n, words) of CaptionDecoder.call."""
        return self.decoder(inputs, training=False)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, **_: Any
    ) -> Any:
        """Return the mean loss of a batch's words; the metric `of_words` counts the words of all batches alike."""
        loss = self.loss(y, y_pred, sample_weight)  # without weight regularization
        self._of_words.update_state(loss, sample_weight=ops.sum(sample_weight))
        return loss


class DevScore:
    """Scores a decoder with its current weights on the dev split.

    Args:
        decoder: the decoder to score.
        vocabulary: its words.
        features: the features of the dev pictures.
        captions: their raw references.
        encoded: image_id -> captions as numbers, for the loss.
        generation: how captions are generated.
        monitor: the score that is also computed for the wrong pictures.
        pictures: the number of pictures to caption, spread evenly over the split; None for all.
        examples: the number of captions to log.
    """

    def __init__(
        self,
        decoder: CaptionDecoder,
        vocabulary: Vocabulary,
        features: Features,
        captions: Captions,
        encoded: Mapping[str, Sequence[Sequence[int]]],
        generation: GenerationConfig,
        monitor: str = "cider_d",
        pictures: int | None = None,
        examples: int = EXAMPLES,
    ) -> None:
        self.model, self.vocabulary, self.features = TeacherForced(decoder), vocabulary, features
        self.ids = spread(captions.split("dev"), pictures)
        self.examples = spread(self.ids, examples)
        self.references = references_of(captions, self.ids)
        self.batches = CaptionBatches(features, encoded, BATCH_SIZE, seed=0).for_keras()
        self.monitor = monitor
        self.search = make_search(decoder, generation, vocabulary=vocabulary)

    def __call__(self, captions: bool = True) -> dict[str, float]:
        """Return `val_loss` and `val_perplexity`, and for generated captions `bleu_1` to `bleu_4`, `cider_d` and more.

        The loss is the cross-entropy, without label smoothing, in nats per word; the perplexity is its exponential.
        `chance` is the monitored score of the same captions assigned to the wrong pictures, the highest of a few such
        assignments; `distinct` counts the different captions without the empty one.

        Args:
            captions: whether captions are generated.
        """
        loss = float(self.model.evaluate(self.batches, verbose=0, return_dict=True)["of_words"])
        scores = {"val_loss": loss, "val_perplexity": math.exp(min(loss, LARGEST_LOSS))}
        return {**scores, **self._of_captions()} if captions else scores

    def _of_captions(self) -> dict[str, float]:
        decoded = decode(
            self.ids, self.features, lambda part, first: generate(self.search, part, self.vocabulary, first)
        )
        candidates = {image_id: captions[0].text for image_id, captions in decoded.items()}
        for image_id in self.examples:
            logger.info(f"  {image_id}: {candidates[image_id] or '(no words)'}")
        scores = score(candidates, self.references, ("bleu", "cider")).corpus
        distinct = float(len(set(candidates.values()) - {""}))
        return {**scores, CHANCE: self._chance(candidates), "distinct": distinct}

    def _chance(self, candidates: Mapping[str, str]) -> float:
        if self.monitor == "val_loss" or len(self.ids) < 2:
            return 0.0
        metric, texts = self.monitor.partition("_")[0], list(candidates.values())
        ways = min(len(self.ids) - 1, MOST_WAYS, max(1, ENOUGH // len(self.ids)))
        found = []
        for way in range(ways):  # each rotates the captions by another number of pictures
            turned = 1 + way * (len(texts) - 1) // ways
            wrong = dict(zip(candidates, texts[turned:] + texts[:turned], strict=True))
            found.append(score(wrong, self.references, (metric,)).corpus[self.monitor])
        return max(found)


def spread(ids: Sequence[str], count: int | None) -> list[str]:
    """Return `count` evenly spaced ids; all of them if there are fewer or `count` is None."""
    if count is None or count >= len(ids):
        return list(ids)
    return [ids[place * len(ids) // count] for place in range(count)]
