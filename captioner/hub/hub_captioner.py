"""HubCaptioner: a KerasHub image-to-text model with the interface of all captioners."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from keras import ops

from captioner.config import ConfigError, build, to_settings
from captioner.generation.caption import Caption
from captioner.generation.config import GenerationConfig
from captioner.generation.options import settings_of
from captioner.generation.word_rules import Numbers
from captioner.hub.families import HubFamily, Inputs, without_warnings
from captioner.hub.samplers import require_known, reseed, sampler_of
from captioner.hub.scorer import HubScorer
from captioner.hub_presets import HUB
from captioner.images.pictures import picture_array
from captioner.picture_captioner import Facts, Picture, PictureCaptioner

PICTURES_PER_BATCH = 8  # small, because these models need much memory for each picture
TEXTS_KEPT = 64  # limit, because a server's clients may send any number of different prompts


@dataclass(frozen=True)
class HubSearch:
    """The settings of a call of KerasHub.

    Attributes:
        config: how captions are generated.
        n: captions per picture.
    """

    config: GenerationConfig
    n: int


class HubCaptioner(PictureCaptioner):
    """A KerasHub model; `caption` works as in captioner.captioner.Captioner, with the settings that KerasHub supports.

    `max_length` and `start` count the model's own word pieces. The greedy caption and the best caption of a beam are
    the same as from KerasHub's `generate`; sampled captions depend on the seed and the picture's number. Several
    captions of one beam are in KerasHub's order, without duplicates.

    Args:
        hub: the module keras_hub.
        task: the model, with its preprocessor.
        family: the kind of the model.
        name: the model's name in messages.
    """

    batch_size = PICTURES_PER_BATCH

    def __init__(self, hub: Any, task: Any, family: HubFamily, name: str) -> None:
        self.task, self.family, self.name = task, family, name
        self.generation = GenerationConfig(beam_size=1, normalization="none", allow_unk=True, prompt=family.prompt)
        self.encoder_description = {"backbone": f"{HUB}{name}", "layer": "whole", "input_size": list(self.input_size)}
        self._hub = hub
        self._scorer = HubScorer(task, family)
        self._functions: dict[tuple[GenerationConfig, bool], tuple[Any, Any]] = {}
        self._texts: dict[tuple[str, str, int], tuple[int, Inputs]] = {}
        self._lock, self._texts_lock = threading.RLock(), threading.Lock()

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the model's input pictures."""
        height, width = self.task.preprocessor.image_converter.image_size
        return int(height), int(width)

    def search(self, n: int = 1, **changes: Any) -> HubSearch:
        """Return the settings for KerasHub.

        Raises:
            ConfigError: KerasHub does not support a setting, a value is impossible, n is above the beam size, or
                prompt or start are too long.
            TypeError: an option does not exist.
        """
        config = build(GenerationConfig, {**to_settings(self.generation), **settings_of(changes)})
        require_known(config, self.generation)
        if not (config.sampling or self.family.beams or config.beam_size == 1):
            kind = type(self.task).__name__
            raise ConfigError(f"beam_size: KerasHub has no beam search for {kind}; use 1, or sampling")
        if not config.sampling and n > config.beam_size:
            raise ConfigError(f"n must be at most the beam size, found {n} with beam_size {config.beam_size}")
        self._text(config)
        return HubSearch(config, n)

    def prepare(self, picture: Picture, name: str = "the picture") -> np.ndarray:
        """Decode a picture, see `caption`; the preset's converter resizes and rescales it."""
        array = picture_array(picture, name, at_least=self.input_size)
        converted = self.task.preprocessor.image_converter(array[None])
        return np.asarray(ops.convert_to_numpy(converted), np.float32)[0]

    def encode_prepared(self, pictures: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """Return the pictures unchanged, because the model encodes them itself."""
        return pictures

    def caption_features(self, features: Any, n: int = 1, first: Numbers = 0, **changes: Any) -> list[list[Caption]]:
        """Caption prepared pictures, a sequence of (height, width, 3) float32; see Captioner.caption_features."""
        search = self.search(n, **changes)
        alone = n > 1 or search.config.sampling
        size = 1 if alone else self.batch_size
        captions: list[list[Caption]] = []
        for begin in range(0, len(features), size):
            part = np.stack([features[row] for row in range(begin, min(begin + size, len(features)))])
            number = first + begin if isinstance(first, int) else int(first[begin])
            with self._lock:
                captions += self._alone(part, search, number) if alone else self._together(part, search.config)
        return captions

    def _together(self, pictures: np.ndarray, config: GenerationConfig) -> list[list[Caption]]:
        """Caption pictures in one batch."""
        rows = np.minimum(
            np.arange(1 << (len(pictures) - 1).bit_length()), len(pictures) - 1
        )  # powers of two, so that few sizes are compiled
        found = self._generate(pictures[rows], config, several=False)
        return [[caption] for caption in found[: len(pictures)]]

    def _alone(self, picture: np.ndarray, search: HubSearch, number: int) -> list[list[Caption]]:
        """Return several captions of one picture, or captions sampled by its number."""
        config, n = search.config, search.n
        if not config.sampling:
            beams = self._generate(picture, config, several=True)
            different: dict[tuple[str, ...], Caption] = {}
            for caption in beams:
                different.setdefault(caption.tokens, caption)
            return [list(different.values())[:n]]
        drawn = self._generate(np.repeat(picture, n, axis=0), config, several=False, number=number)
        return [sorted(drawn, key=lambda caption: -caption.log_prob)]

    def _generate(
        self, pictures: np.ndarray, config: GenerationConfig, several: bool, number: int = 0
    ) -> list[Caption]:
        begins, text = self._text(config)
        inputs = self.family.with_pictures(text, pictures)
        sampler, function = self._function(config, several)
        self.task.sampler = sampler
        if config.sampling:
            reseed(sampler, config.seed, number)
        with without_warnings():
            found = function(inputs, stop_token_ids=self._ends())
        tokens = np.asarray(ops.convert_to_numpy(found[self.family.tokens]))  # (rows, length)
        if len(tokens) != len(pictures):
            inputs = self.family.with_pictures(text, np.repeat(pictures, len(tokens), axis=0))
        return self._captions(inputs, tokens, begins)

    def _function(self, config: GenerationConfig, several: bool) -> tuple[Any, Any]:
        """Return a sampler and the compiled function of KerasHub that uses it."""
        key = (replace(config, prompt="", start="", max_length=1, seed=0), several)
        if key not in self._functions:
            self.task.sampler = sampler_of(self._hub, config, several)
            self.task.generate_function = None
            self._functions[key] = self.task.sampler, self.task.make_generate_function()
        return self._functions[key]

    def _text(self, config: GenerationConfig) -> tuple[int, Inputs]:
        """Return the index where captions begin in the sequence, and the inputs of one row without its picture.

        Raises:
            ConfigError: prompt or start are too long.
        """
        key = (config.prompt, config.start, config.max_length)
        with self._texts_lock:
            if key not in self._texts:
                if len(self._texts) == TEXTS_KEPT:
                    del self._texts[next(iter(self._texts))]
                self._texts[key] = self._tokenized(config)
            return self._texts[key]

    def _tokenized(self, config: GenerationConfig) -> tuple[int, Inputs]:
        blank = np.zeros((1, *self.input_size, 3), np.uint8)
        asked = self.family.asked(config.prompt)

        def tokenized(start: str, length: int | None) -> Inputs:
            given = self.family.text(asked, start, blank)
            found = self.task.preprocessor.generate_preprocess(given, sequence_length=length)
            return {name: np.asarray(ops.convert_to_numpy(value)) for name, value in found.items()}

        alone = tokenized("", None)
        begins, most = int(alone[self.family.mask].sum()), alone[self.family.mask].shape[1]
        if begins >= most:
            raise ConfigError(
                f"prompt: has at least {begins} word pieces, but {self.name} supports {most - 1}; make it shorter"
            )
        text = tokenized(config.start, begins + config.max_length)
        if int(text[self.family.mask].sum()) >= begins + config.max_length:
            raise ConfigError(f"start: has as many word pieces as max_length {config.max_length}; make it shorter")
        return begins, text

    def _ends(self) -> list[int]:
        """Return the tokens that end a caption, the same as in KerasHub's `generate`."""
        tokenizer = self.task.preprocessor.tokenizer
        second = [tokenizer.end_token2_id] if hasattr(tokenizer, "end_token2_id") else []
        return [tokenizer.end_token_id, *second, *map(tokenizer.token_to_id, self.family.ends)]

    def _captions(self, inputs: Inputs, tokens: np.ndarray, begins: int) -> list[Caption]:
        """Return the captions in rows of tokens (rows, length) that begin at `begins`."""
        is_end = np.isin(tokens, self._ends()) & (np.arange(tokens.shape[1]) >= self._started(inputs))
        ended = is_end.any(axis=1)
        ends = np.where(ended, is_end.argmax(axis=1) + 1, tokens.shape[1])  # (rows,) after the end token
        with without_warnings():
            log_probs = self._scorer.log_probs(inputs, tokens, begins, ends)
        kept = np.arange(tokens.shape[1]) < (ends - ended)[:, None]
        own = {self.family.tokens: tokens[:, begins:], self.family.mask: kept[:, begins:]}
        texts = [_text_of(text) for text in self.task.preprocessor.generate_postprocess(own)]
        rows = zip(texts, own[self.family.tokens], own[self.family.mask], log_probs, strict=True)
        return [
            Caption(" ".join(text.split()), self._pieces(row[mask]), float(value)) for text, row, mask, value in rows
        ]

    def _pieces(self, tokens: np.ndarray) -> tuple[str, ...]:
        """Return tokens as word pieces, without special tokens, which are not in the text either."""
        tokenizer = self.task.preprocessor.tokenizer
        special = getattr(tokenizer, "special_token_ids", [])
        return tuple(tokenizer.id_to_token(int(token)) for token in tokens if token not in special)

    def _started(self, inputs: Inputs) -> int:
        """Return the index where the model's own words begin, after the prompt and the words given by `start`."""
        return int(np.asarray(inputs[self.family.mask])[0].sum())

    def find_encoder(self) -> None:
        """Do nothing, because the model contains its encoder, which is already loaded."""

    def facts(self) -> Facts:
        """See PictureCaptioner.facts; the features are the pictures, and there is no attention."""
        return Facts(type(self.task).__name__, self.task.count_params(), (*self.input_size, 3))

    @property
    def vocabulary(self) -> list[str]:
        """The model's word pieces."""
        return list(self.task.preprocessor.tokenizer.get_vocabulary())


def _text_of(text: Any) -> str:
    """Return a detokenized caption as a string; KerasHub returns a string, bytes or a tensor of them."""
    value = text if isinstance(text, str | bytes) else np.asarray(text).item()
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
