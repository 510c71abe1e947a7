"""Training that starts from the weights of an earlier run."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from captioner.models.architectures import differing_settings
from captioner.models.decoder import CaptionDecoder
from captioner.models.fine_tuned import FineTunedDecoder
from captioner.storage import DataError
from captioner.text.vocabulary import Vocabulary


def begin_from(
    path: str, trained: CaptionDecoder, words: Vocabulary, decoder: CaptionDecoder, vocabulary: Vocabulary
) -> None:
    """Copy the weights of a trained decoder to a new one.

    Encoder layers that are trained with the decoder are also copied if the trained one has them; otherwise they keep
    the encoder's weights.

    Args:
        path: the file of the trained decoder, for messages.
        trained: the trained decoder.
        words: the vocabulary of the trained decoder.
        decoder: the new decoder, of the same architecture.
        vocabulary: the vocabulary of the new decoder.

    Raises:
        DataError: the vocabularies, the shapes of the weights or the model settings differ.
    """
    if words.digest != vocabulary.digest:
        raise DataError(
            f"{path}: was trained with {len(words)} words (digest {words.digest[:12]}), but this recipe has "
            f"{len(vocabulary)} (digest {vocabulary.digest[:12]}); use the captions and the text settings of that run"
        )
    target = decoder
    if isinstance(target, FineTunedDecoder) and not isinstance(trained, FineTunedDecoder):
        target = target.decoder
    if _shapes(trained.weights) != _shapes(target.weights):
        raise DataError(
            f"{path}: has a {type(trained).__name__} with {trained.count_params():,} weights, but this recipe makes a "
            f"{type(target).__name__} with {target.count_params():,}; use the model settings and features of that run"
        )
    if found := differing_settings(trained, target):
        raise DataError(f"{path}: was trained with other model settings than this recipe's: {', '.join(found)}")
    target.set_weights(trained.get_weights())


def _shapes(variables: Sequence[keras.Variable]) -> list[tuple[int, ...]]:
    return [tuple(variable.shape) for variable in variables]
