"""The dev score of an epoch: captions generated and scored as the evaluation does it, and the teacher-forced loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from captioner.data.batches import CaptionBatches
from captioner.data.captions import Captions, references_of
from captioner.features.store import FeatureStore
from captioner.generation.config import GenerationConfig
from captioner.generation.corpus import decode
from captioner.generation.decode import generate, make_search
from captioner.metrics.scorer import score
from captioner.models.decoder import CaptionDecoder
from captioner.text.vocabulary import Vocabulary

BATCH_SIZE = 64  # pictures; of the loss only


class DevScore:
    """Scores a decoder, as it is at the time of the call, on the dev split.

    Args:
        decoder: compiled.
        vocabulary: its words.
        features: of the dev pictures.
        captions: their raw references.
        encoded: image_id -> captions as numbers, for the loss.
        generation: how captions are generated.
    """

    def __init__(
        self,
        decoder: CaptionDecoder,
        vocabulary: Vocabulary,
        features: FeatureStore,
        captions: Captions,
        encoded: Mapping[str, Sequence[Sequence[int]]],
        generation: GenerationConfig,
    ) -> None:
        self.decoder, self.vocabulary, self.features = decoder, vocabulary, features
        self.ids = captions.split("dev")
        self.references = references_of(captions, self.ids)
        self.batches = CaptionBatches(features, encoded, BATCH_SIZE, seed=0).for_keras()
        self.search = make_search(decoder, generation, vocabulary=vocabulary)

    def __call__(self) -> dict[str, float]:
        """Return `val_loss`, `bleu_1` to `bleu_4` and `cider_d`."""
        # The averages over batches weigh each by its pictures, which all have about as many words.
        loss = self.decoder.evaluate(self.batches, verbose=0)
        decoded = decode(
            self.ids, self.features, lambda part, first: generate(self.search, part, self.vocabulary, first)
        )
        candidates = {image_id: captions[0].text for image_id, captions in decoded.items()}
        return {"val_loss": float(loss), **score(candidates, self.references, ("bleu", "cider")).corpus}
