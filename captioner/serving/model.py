"""The captioner for the server: pictures are prepared in any thread, and captioned in batches in a single one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from captioner.config import ConfigError
from captioner.encoding import escape
from captioner.export.fast import FastCaptioner
from captioner.hub.names import is_hub, preset_of
from captioner.images.decode import load_image
from captioner.loading import Named
from captioner.serving.options import Options
from captioner.serving.refusal import RefusalError

if TYPE_CHECKING:
    from captioner.generation.caption import Caption
    from captioner.picture_captioner import PictureCaptioner


class PreparedPicture(NamedTuple):
    """A decoded picture at the encoder's size.

    Attributes:
        pixels: (height, width, 3) uint8, or a tuple of such arrays for an ensemble with several encoders.
        size: (height, width) before resizing; only the aspect ratio is used.
    """

    pixels: Any
    size: tuple[int, int]


class SearchChoice(NamedTuple):
    """The generation settings of one batch; each choice is compiled once for each batch size.

    Attributes:
        n: captions per picture.
        changes: settings that differ from the captioner's, sorted by name.
    """

    n: int
    changes: tuple[tuple[str, Any], ...]


class ServedModel:
    """A captioner with its name.

    Args:
        captioner: the captioner, on Keras or onnxruntime, an ensemble, or a KerasHub model.
        name: the model's name for clients.
        scores: the scores of its evaluation, by name.

    Raises:
        DataError: the encoder is not available.
    """

    def __init__(
        self, captioner: PictureCaptioner, name: str = "captioner", scores: dict[str, float] | None = None
    ) -> None:
        self.captioner, self.name, self.scores = captioner, name, scores or {}
        captioner.tells_of_unlike = False  # the log would not name the picture; the confidence shows it
        self.prompt: str = captioner.generation.prompt  # only KerasHub models have prompts
        self._members: list[Any] = getattr(captioner, "members", [captioner])
        for member in self._members:
            member.find_encoder()
        self._encoders: list[dict[str, Any]] = [member.encoder_description for member in self._members]
        sizes = [encoder["input_size"] for encoder in self._encoders]
        self.at_least = (max(size[0] for size in sizes), max(size[1] for size in sizes))
        self._facts = [member.facts() for member in self._members]
        looking = [
            encoder for encoder, facts in zip(self._encoders, self._facts, strict=True) if len(facts.feature_shape) == 2
        ]
        self.grid = dict(looking[0]) if looking else None

    def prepare(self, data: bytes, max_pixels: int) -> PreparedPicture:
        """Decode an encoded picture and resize it for the encoder. This method is thread-safe.

        Raises:
            DataError: the picture cannot be read, see captioner.images.decode.load_image.
        """
        picture = load_image(data, max_pixels=max_pixels, at_least=self.at_least)
        return PreparedPicture(self.captioner.prepare(picture), (picture.shape[0], picture.shape[1]))

    def search_for(self, options: Options) -> SearchChoice:
        """Return the search for the options of a request, one of few.

        For several captions, the search returns its whole beam, so that not every n needs another compiled search.

        Raises:
            RefusalError: the model does not support the options (400).
        """
        choice = self._choice(options)
        if not self.prompt:
            if options.prompt:
                raise RefusalError(400, f"prompt: not supported by {self.name}; leave it out")
            return choice
        if options.prompt:
            choice = choice._replace(changes=tuple(sorted({**dict(choice.changes), "prompt": options.prompt}.items())))
        try:
            self.captioner.search(choice.n, **dict(choice.changes))
        except ConfigError as error:
            raise RefusalError(400, str(error)) from error
        return choice

    def _choice(self, options: Options) -> SearchChoice:
        """Return the search for the options that every model supports."""
        own = self.captioner.generation
        if options.beam_size is None and own.sampling:
            return SearchChoice(options.n, ())
        beam = options.beam_size or max(own.beam_size, options.n)
        changes: dict[str, Any] = {}
        if own.sampling:
            changes |= {"sampling": False, "groups": 1}
        elif own.groups > 1:
            if options.beam_size is None:
                beam = -(-beam // own.groups) * own.groups
            elif beam % own.groups:
                changes["groups"] = 1
        if beam != own.beam_size:
            changes["beam_size"] = beam
        return SearchChoice(1 if options.n == 1 else beam, tuple(sorted(changes.items())))

    def caption(self, pictures: Sequence[PreparedPicture], search: SearchChoice, batch: int) -> list[list[Caption]]:
        """Caption prepared pictures in one batch. Only one thread at a time may call this method.

        Args:
            pictures: the pictures.
            search: from `search_for`.
            batch: batch size for Keras, which compiles for each size; the batch is filled up with the last picture.

        Returns:
            for each picture its captions, best first.
        """
        size = len(pictures) if isinstance(self.captioner, FastCaptioner) else batch
        rows = [pictures[min(row, len(pictures) - 1)].pixels for row in range(size)]
        return self.captioner.caption_prepared(rows, search.n, **dict(search.changes))[: len(pictures)]

    def blank(self) -> PreparedPicture:
        """Return a black picture, for compiling."""
        black = np.zeros((*self.at_least, 3), np.uint8)
        return PreparedPicture(self.captioner.prepare(black), self.at_least)

    def describe(self) -> dict[str, Any]:
        """Return the model's description for clients."""
        encoders = dict.fromkeys(f"{one.get('backbone')} {one.get('layer')}" for one in self._encoders)
        return {
            "name": self.name,
            "architecture": " + ".join(facts.architecture for facts in self._facts),
            "encoder": " + ".join(encoders),
            "weights": sum(facts.weights for facts in self._facts),
            "runtime": "onnxruntime" if isinstance(self.captioner, FastCaptioner) else "keras",
            "words": len(self._members[0].vocabulary),
            "attention": self.grid is not None,
            "prompt": self.prompt or None,
            "scores": self.scores,
        }


def name_of(model: Named) -> str:
    """Return the name for clients of a run folder's model, a `.keras` file or a KerasHub model."""
    path = Path(preset_of(model) if is_hub(model) else model)
    return escape(path.resolve().stem if path.suffix == ".keras" else path.resolve().name)
