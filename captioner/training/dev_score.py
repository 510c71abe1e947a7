"""The dev score of an epoch: captions generated and scored as the evaluation does it, and the teacher-forced loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from captioner.data.batches import CaptionBatches, Features
from captioner.data.captions import Captions, references_of
from captioner.generation.config import GenerationConfig
from captioner.generation.corpus import decode
from captioner.generation.decode import generate, make_search
from captioner.metrics.scorer import score
from captioner.models.decoder import CaptionDecoder
from captioner.text.vocabulary import Vocabulary
from captioner.training.epoch_end import CHANCE

BATCH_SIZE = 64  # pictures; of the loss only
MOST_WAYS, ENOUGH = 10, 400  # ways of giving captions to the wrong pictures, of few pictures more: 400 pictures in all


class DevScore:
    """Scores a decoder, as it is at the time of the call, on the dev split.

    Args:
        decoder: compiled.
        vocabulary: its words.
        features: of the dev pictures.
        captions: their raw references.
        encoded: image_id -> captions as numbers, for the loss.
        generation: how captions are generated.
        monitor: the score whose value by chance is taken, too.
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
    ) -> None:
        self.decoder, self.vocabulary, self.features = decoder, vocabulary, features
        self.ids = captions.split("dev")
        self.references = references_of(captions, self.ids)
        self.batches = CaptionBatches(features, encoded, BATCH_SIZE, seed=0).for_keras()
        self.monitor = monitor
        self.search = make_search(decoder, generation, vocabulary=vocabulary)

    def __call__(self) -> dict[str, float]:
        """Return `val_loss`, `bleu_1` to `bleu_4`, `cider_d`, `chance` and `distinct`.

        `chance` is the monitored score of the same captions given to the wrong pictures, the highest of a few ways to
        do so; `distinct` counts the different captions, the empty one left out.
        """
        # The averages over batches weigh each by its pictures, which all have about as many words.
        loss = self.decoder.evaluate(self.batches, verbose=0)
        decoded = decode(
            self.ids, self.features, lambda part, first: generate(self.search, part, self.vocabulary, first)
        )
        candidates = {image_id: captions[0].text for image_id, captions in decoded.items()}
        scores = score(candidates, self.references, ("bleu", "cider")).corpus
        distinct = float(len(set(candidates.values()) - {""}))
        return {"val_loss": float(loss), **scores, CHANCE: self._chance(candidates), "distinct": distinct}

    def _chance(self, candidates: Mapping[str, str]) -> float:
        if self.monitor == "val_loss" or len(self.ids) < 2:
            return 0.0
        metric, texts = self.monitor.partition("_")[0], list(candidates.values())
        ways = min(len(self.ids) - 1, MOST_WAYS, max(1, ENOUGH // len(self.ids)))
        found = []
        for way in range(ways):  # each turns the row of captions by another number of pictures
            turned = 1 + way * (len(texts) - 1) // ways
            wrong = dict(zip(candidates, texts[turned:] + texts[:turned], strict=True))
            found.append(score(wrong, self.references, (metric,)).corpus[self.monitor])
        return max(found)
