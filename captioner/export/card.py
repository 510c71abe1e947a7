"""The model card of an exported captioner: description, training data, scores and terms of use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from captioner.config import load_yaml
from captioner.export.formats import FORMATS
from captioner.metrics.labels import describe
from captioner.results import read_scores
from captioner.run_folder import CONFIG, evaluations
from captioner.storage import read_manifest

# Authors and terms of an encoder's initial weights, by the beginning of its name.
WEIGHTS_TERMS = {
    "vgg": "VGG (Oxford Visual Geometry Group), ImageNet weights, CC BY 4.0",
    "efficientnet_lite": "EfficientNet-Lite (Google), ImageNet weights, Apache-2.0",
    "hub:": "the terms of the KerasHub preset, see its page at kaggle.com/models/keras",
}
OTHER_TERMS = "ImageNet weights of keras.applications, under the terms named at keras.io/api/applications"

HOLDS = {
    "saved_model": "`saved_model/` takes picture files as strings: signature `serving_default`, `pictures` (n,) to "
    "`captions`, `tokens`, `log_probs`. It contains decoding, resizing, the encoder and the search. It reads JPEG, "
    "PNG, GIF and BMP; sometimes a resized pixel differs by one level from Pillow's result. "
    "The signature `pixels`, if it exists, takes uint8 pixels of the encoder's size.",
    "onnx": "`captioner.onnx` takes `pictures` (n, height, width, 3), uint8 RGB of the encoder's size, and returns "
    "`tokens` and `log_probs`. It contains preprocessing, the encoder and the whole search; run.py decodes and "
    "resizes.",
    "litert": "`captioner.tflite` takes one picture (1, height, width, 3), uint8 RGB of the encoder's size, and "
    "returns tokens (int32) and log-probabilities (float32). It contains preprocessing, the encoder and the whole "
    "search; run.py decodes and resizes.",
    "web": "`index.html` captions pictures in the browser; nothing leaves the computer. Serve the folder with any "
    "static file server, such as `python -m http.server`. Browsers decode large JPEGs at full size, but captioner "
    "decodes them at a half, a quarter or an eighth, so a caption can sometimes differ.",
}


def card(runs: list[Path], name: str, facts: Mapping[str, Any], data_licence: str | None) -> str:
    """Return the card as Markdown.

    Args:
        runs: the run folders.
        name: name of the format.
        facts: the facts about the export, see captioner.stages.export.
        data_licence: licence of the training data, if the user gives it.
    """
    size = "x".join(map(str, facts["input_size"])) + " pixels" if facts.get("input_size") else "different sizes"
    lines = [
        f"# {facts['name']}",
        "",
        f"An image captioner ({facts['about']}), exported by captioner {facts['captioner']} as {FORMATS[name].about}.",
        "",
        HOLDS[name],
        "",
        f"- run: {', '.join(map(str, runs))}",
        f"- pictures: {size}, resized `{facts.get('resizing', 'by each member')}`",
        f"- search: {facts['search']}; {facts['captions']} caption(s) per picture, at most {facts['max_length']} words",
        f"- weights stored in {facts['precision']}",
        f"- vocabulary: {facts['words']:,} words (`vocabulary.json`)",
    ]
    for run in runs:
        lines += _trained(run)
    lines += ["", "## Terms", ""]
    lines.append(
        f"- training data: {data_licence or 'not stated (see export --data-licence); ask the authors of the data set'}"
    )
    lines += [f"- initial weights: {terms}" for terms in sorted({_terms(one) for one in facts["encoders"]})]
    if name != "web":
        packages = f"numpy pillow {FORMATS[name].runtime}"
        lines += ["", "## Use", "", f"    pip install {packages}", "    python run.py PICTURE"]
    return "\n".join(lines) + "\n"


def _trained(run: Path) -> list[str]:
    config, manifest = load_yaml(run / CONFIG), read_manifest(run) or {}
    data = config.get("data", {})
    lines = ["", f"## {run}", "", f"- captions: {data.get('captions')}; splits: {data.get('splits')}"]
    best = {key: value for key, value in (manifest.get("best") or {}).items() if key in ("bleu_1", "bleu_4", "cider_d")}
    if best:
        lines.append(f"- dev: {describe(best)}")
    if newest_first := evaluations(run):
        lines.append(f"- evaluated: {describe(read_scores(newest_first[0])[0])}")
    return lines


def _terms(encoder: str) -> str:
    return next((terms for begin, terms in WEIGHTS_TERMS.items() if encoder.startswith(begin)), OTHER_TERMS)
