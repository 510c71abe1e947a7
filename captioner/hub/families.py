"""The kinds of image-to-text models in KerasHub, and how to prompt each of them for a caption."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Inputs = dict[str, Any]  # the preprocessor's output and the model's input: name -> array, one row per caption


@dataclass(frozen=True)
class HubFamily:
    """How to prompt one kind of model.

    Attributes:
        prompt: the default prompt, which the model's authors used for captions.
        asked: returns a prompt in the form that the model was trained on.
        text: returns the preprocessor's input for a prompt, the first words of the caption, and pictures.
        tokens: the name of the input sequence that contains the caption.
        mask: the name of that sequence's padding mask.
        ends: tokens that end a caption, besides the tokenizer's own.
        places: whether `images` has an axis for several pictures per row, (rows, places, height, width, 3).
        beams: whether KerasHub's beam search supports the model.
    """

    prompt: str
    asked: Callable[[str], str]
    text: Callable[[str, str, np.ndarray], Inputs]
    tokens: str = "token_ids"
    mask: str = "padding_mask"
    ends: tuple[str, ...] = ()
    places: bool = False
    beams: bool = True

    def with_pictures(self, inputs: Mapping[str, Any], pictures: np.ndarray) -> Inputs:
        """Return the inputs of one row, repeated for each of the pictures (rows, height, width, 3)."""
        rows = {name: np.repeat(value, len(pictures), axis=0) for name, value in inputs.items()}
        if not self.places:
            return {**rows, "images": pictures}
        images = rows["images"].copy()  # (rows, places, height, width, 3)
        images[:, 0] = pictures
        return {**rows, "images": images}


def _question(prompt: str, start: str, pictures: np.ndarray) -> Inputs:
    """Return the preprocessor's input for a prompt that is not part of the answer."""
    return {"images": pictures, "prompts": [prompt], **({"responses": [start]} if start else {})}


def _gemma_turn(prompt: str) -> str:
    if "<start_of_image>" in prompt:
        return prompt
    return f"<start_of_turn>user\n<start_of_image>{prompt}<end_of_turn>\n<start_of_turn>model\n"


# task of keras_hub.models -> its kind
FAMILIES: dict[str, HubFamily] = {
    # Beyer et al. 2024, "PaliGemma": prompts end with a line break.
    "PaliGemmaCausalLM": HubFamily(
        prompt="caption en",
        asked=lambda prompt: prompt.rstrip("\n") + "\n",
        text=_question,
    ),
    # Li et al. 2023, "BLIP-2", section 4.2: captions continue the prompt, or T5's encoder reads it.
    "BLIP2CausalLM": HubFamily(
        prompt="a photo of",
        asked=str.strip,
        text=lambda prompt, start, pictures: {"images": pictures, "text": [f"{prompt} {start}".strip()]},
    ),
    "BLIP2Seq2SeqLM": HubFamily(
        prompt="a photo of",
        asked=str.strip,
        text=lambda prompt, start, pictures: {
            "images": pictures,
            "encoder_text": [prompt],
            **({"decoder_text": [start]} if start else {}),
        },
        tokens="decoder_token_ids",
        mask="decoder_padding_mask",
    ),
    "Gemma3CausalLM": HubFamily(
        prompt="Describe this picture in one short sentence.",
        asked=_gemma_turn,
        text=lambda prompt, start, pictures: {**_question(prompt, start, pictures), "images": pictures[:, None]},
        ends=("<end_of_turn>",),
        places=True,
        beams=False,  # its step selects a row's prompt by the index of the beam
    ),
}


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Hide warnings about KerasHub's own behaviour, which users cannot change.

    Its T5 passes masks to layers that do not support them, and its tokenizers do not close their files.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not support masking", UserWarning)
        warnings.simplefilter("ignore", ResourceWarning)
        yield
