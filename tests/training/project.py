"""A small data set with features from which its captions can be learned."""

import numpy as np

from captioner.data.dataset import DataConfig
from captioner.encoders.config import EncoderConfig
from captioner.features.store import write_features
from captioner.generation.config import GenerationConfig
from captioner.recipe import Recipe
from captioner.text.vocabulary import TextConfig
from captioner.training.config import TrainConfig

COLOURS, THINGS = ("red", "green", "blue", "grey"), ("ball", "house", "tree")


def make_project(folder, pictures=48):
    """Write captions, splits and features; return the recipe."""
    rng = np.random.default_rng(0)
    lines, features = [], {}
    for index in range(pictures):
        colour, thing = rng.integers(4), rng.integers(3)
        words = f"{COLOURS[colour]} {THINGS[thing]}"
        lines += [f"p{index}.jpg#0\tThere is a {words} .", f"p{index}.jpg#1\tA {words} on the grass ."]
        vector = np.concatenate([np.eye(4)[colour], np.eye(3)[thing], rng.normal(size=3) * 0.1])
        features[f"p{index}"] = vector.astype("float32")
    (folder / "captions.txt").write_text("\n".join(lines) + "\n")
    (folder / "train.txt").write_text("".join(f"p{i}.jpg\n" for i in range(pictures - 8)))
    (folder / "dev.txt").write_text("".join(f"p{i}.jpg\n" for i in range(pictures - 8, pictures)))
    description = {"backbone": "vgg16", "layer": "pool"}
    write_features(folder / "features.pkl", features, description)
    return Recipe(
        data=DataConfig(
            captions=str(folder / "captions.txt"),
            splits={"train": str(folder / "train.txt"), "dev": str(folder / "dev.txt")},
        ),
        features=str(folder / "features.pkl"),
        encoder=EncoderConfig(backbone="vgg16"),
        text=TextConfig(),
        model={"architecture": "merge", "units": 24, "embedding_size": 12},
        train=TrainConfig(epochs=4, batch_size=8, learning_rate=0.02),
        generation=GenerationConfig(max_length=8),
    )
