"""Captions in the API's JSON format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captioner.encoding import escape
from captioner.report.pictures import grid_box, grid_columns
from captioner.serving.model import ServedModel
from captioner.serving.options import Options
from captioner.serving.refusal import RefusalError
from captioner.serving.service import Answered
from captioner.text.styles import styled

if TYPE_CHECKING:
    from captioner.generation.caption import Caption


def reply(found: Answered, options: Options, model: ServedModel) -> dict[str, Any]:
    """Return a picture's response, with the best caption at the top level for simple clients."""
    captions = [_caption(caption, found, options, model) for caption in found.captions[: options.n]]
    best = captions[0] if captions else {"caption": "", "confidence": None}
    return {
        "caption": best["caption"],
        "confidence": best["confidence"],
        "captions": captions,
        "model": model.name,
    }


def reply_of_several(name: str | None, found: Answered | RefusalError, options: Options, model: ServedModel) -> Any:
    """Return one picture's entry in the response for several; bytes of a file name that are not UTF-8 are escaped."""
    name = None if name is None else escape(name)
    if isinstance(found, RefusalError):
        return {"file": name, "error": escape(found.message), "status": found.status}
    return {"file": name, **reply(found, options, model)}


def best_text(found: Answered, options: Options) -> str:
    """Return a picture's best caption, for programs that need nothing else."""
    return styled(found.captions[0].text, options.style) if found.captions else ""


def _caption(caption: Caption, found: Answered, options: Options, model: ServedModel) -> dict[str, Any]:
    confidence = getattr(caption, "confidence", None)
    possible = caption.log_prob > float("-inf")  # JSON has no infinity
    entry: dict[str, Any] = {
        "caption": styled(caption.text, options.style),
        "confidence": None if confidence is None else round(float(confidence), 4),
        "log_prob": round(caption.log_prob, 4) if possible else None,
        "tokens": list(caption.tokens),
    }
    if options.attention:
        entry["attention"] = _attention(caption, found.size, model)
    return entry


def _attention(caption: Caption, size: tuple[int, int], model: ServedModel) -> dict[str, Any] | None:
    """Return the words' attention: the grid's columns, its area in the picture, and the weights row by row."""
    if caption.attention is None or model.grid is None or not caption.attention.shape[1]:
        return None
    regions, input_size = caption.attention.shape[1], model.grid.get("input_size", (1, 1))
    told = model.grid.get("grid")  # (rows, columns), if the grid's shape differs from the input's
    return {
        "columns": told[1] if told and told[0] * told[1] == regions else grid_columns(regions, input_size),
        "box": grid_box(size, input_size, model.grid.get("resizing", "whole")),
        "weights": [[round(float(weight), 4) for weight in word] for word in caption.attention],
    }
