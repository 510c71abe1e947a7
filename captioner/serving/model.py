"""The captioner as the server uses it: pictures prepared one by one in any thread, captioned in batches in one."""

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
        pixels: (height, width, 3) uint8, or a tuple of such for an ensemble with several encoders.
        size: (height, width) of the picture before, of which only the shape counts.
    """

    pixels: Any
    size: tuple[int, int]


class SearchChoice(NamedTuple):
    """The settings of generation that pictures in one batch share; each is compiled once for each batch size.

    Attributes:
        n: captions a picture.
        changes: settings that differ from the captioner's own, in order of their names.
    """

    n: int
    changes: tuple[tuple[str, Any], ...]


class ServedModel:
    """A captioner with its name.

    Args:
        captioner: the captioner, on Keras or onnxruntime, an ensemble, or a model of KerasHub.
        name: what clients call it.
        scores: what its evaluation found, by name.

    Raises:
        DataError: its encoder cannot be had.
    """

    def __init__(
        self, captioner: PictureCaptioner, name: str = "captioner", scores: dict[str, float] | None = None
    ) -> None:
        self.captioner, self.name, self.scores = captioner, name, scores or {}
        captioner.tells_of_unlike = False  # the log would not say whose; each confidence does
        self.prompt: str = captioner.generation.prompt  # of a model of KerasHub; others take none
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
        """Decode an encoded picture and bring it to the encoder's size. Any thread may call it.

        Raises:
            DataError: it cannot be read, see captioner.images.decode.load_image.
        """
        picture = load_image(data, max_pixels=max_pixels, at_least=self.at_least)
        return PreparedPicture(self.captioner.prepare(picture), (picture.shape[0], picture.shape[1]))

    def search_for(self, options: Options) -> SearchChoice:
        """Return the search that gives a request what it wants, one of few.

        Several captions come from the search that returns its whole beam, so that each n needs no search of its own.

        Raises:
            RefusalError: the model cannot do what is asked (400).
        """
        choice = self._choice(options)
        if not self.prompt:
            if options.prompt:
                raise RefusalError(400, f"prompt: {self.name} takes none, it only captions; leave it out")
            return choice
        if options.prompt:
            choice = choice._replace(changes=tuple(sorted({**dict(choice.changes), "prompt": options.prompt}.items())))
        try:
            self.captioner.search(choice.n, **dict(choice.changes))
        except ConfigError as error:
            raise RefusalError(400, str(error)) from error
        return choice

    def _choice(self, options: Options) -> SearchChoice:
        """Return the search by what every model takes."""
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
        """Caption prepared pictures together; one thread at a time.

        Args:
            pictures: the pictures.
            search: what `search_for` gave.
            batch: Keras, which compiles for each size, gets so many: it is filled up with the last picture.

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
        """Return what clients may know of it."""
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
    """Return what clients call the model in a run folder or a `.keras` file, or one of KerasHub."""
    path = Path(preset_of(model) if is_hub(model) else model)
    return escape(path.resolve().stem if path.suffix == ".keras" else path.resolve().name)
