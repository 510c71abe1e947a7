"""Measures training on few pictures: dev CIDEr-D against the captions of the most similar training pictures.

It uses the fast merge recipe on EfficientNet-Lite0's pooled features and parts of Flickr8k. Each row trains on the
first N pictures of the training list and chooses its epoch on the next N / 4 pictures, because a small data set has no
other pictures. It is scored on the whole dev list. The features of 1,250 training pictures and of the dev pictures are
made first, or read from a file.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import captioner
from captioner.captioner import Captioner
from captioner.data.dataset import Dataset, read_captions
from captioner.encoders.config import EncoderConfig
from captioner.features.store import FeatureStore, open_features
from captioner.metrics.scorer import score
from captioner.recipe import Recipe, find_recipe, load_recipe
from captioner.stages.extract import extract
from captioner.stages.train import train
from captioner.training.baseline import nearest_captions

RECIPE = "merge_efficientnet_lite2"
ENCODER = "efficientnet_lite0"
SHARE = 4  # training pictures per dev picture


def recipe_of(count: int, ids: list[str], flickr: Recipe, features: Path, folder: Path) -> Recipe:
    """Return the recipe for the first `count` training pictures."""
    lists = {"train": ids[:count], "dev": ids[count : count + max(8, count // SHARE)]}
    for name, part in lists.items():
        (folder / f"{name}.txt").write_text("".join(f"{image_id}\n" for image_id in part))
    splits: dict[str, str | float] = {name: str(folder / f"{name}.txt") for name in lists}
    data = replace(flickr.data, splits=splits, descriptions=None)
    encoder = replace(flickr.encoder, backbone=ENCODER)
    return replace(
        flickr, data=data, features=str(features), encoder=encoder, train=replace(flickr.train, precision="float32")
    )


def cider_d(model: Captioner, store: FeatureStore, references: Mapping[str, tuple[str, ...]]) -> float:
    """Return the CIDEr-D of a model's captions."""
    ids = list(references)
    captions = model.caption_features(store.gather(ids))
    found = {image_id: several[0].text if several else "" for image_id, several in zip(ids, captions, strict=True)}
    return 100 * score(found, references, ("cider",)).corpus["cider_d"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, nargs="+", default=[40, 80, 200, 1000])
    parser.add_argument("--features", type=Path, help="A feature file to read, instead of encoding the pictures.")
    options = parser.parse_args()
    flickr = load_recipe(find_recipe(RECIPE))
    captions = Dataset(flickr.data).load(("train", "dev"))
    references = read_captions(flickr.data.captions)
    dev = {image_id: references[image_id] for image_id in captions.split("dev")}
    with tempfile.TemporaryDirectory() as scratch:
        features = options.features or Path(scratch, "features.pkl")
        if options.features is None:
            pictures = Path(scratch, "pictures")
            pictures.mkdir()
            for image_id in [*captions.split("train")[:1250], *dev]:
                source = captions.pictures[image_id].resolve()
                (pictures / source.name).symlink_to(source)
            extract(pictures, features, EncoderConfig(ENCODER))
        store = open_features(features)
        for count in options.pictures:
            folder = Path(scratch, str(count))
            folder.mkdir()
            ids = list(captions.split("train"))
            began = time.monotonic()
            state = train(folder / "run", recipe_of(count, ids, flickr, features, folder))
            seconds = time.monotonic() - began
            ours = cider_d(captioner.load(str(folder / "run")), store, dev)
            nearest = nearest_captions(store, references, ids[:count], list(dev))
            theirs = 100 * score(nearest, dev, ("cider",)).corpus["cider_d"]
            print(
                f"{count} pictures: CIDEr-D {ours:.1f}, nearest neighbour {theirs:.1f}; epoch {state.best_epoch} of "
                f"{state.epoch}, {seconds:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
