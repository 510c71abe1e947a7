"""Measures the size and the training speed of recipes on their own features and captions, one after the other."""

from __future__ import annotations

import argparse

import keras
from machine import seconds

from captioner.data.batches import CaptionBatches
from captioner.data.dataset import Dataset
from captioner.data.training_text import training_text
from captioner.features.store import open_features
from captioner.models.architectures import build_decoder
from captioner.recipe import Recipe, find_recipe, load_recipe
from captioner.text.vocabulary import Vocabulary
from captioner.training.fit import compiled
from captioner.training.numpy_fit import Twin

TURNS = 3  # the median counts; one more before them compiles


def measure(recipe: Recipe, pictures: int) -> tuple[int, float]:
    """Return the number of weights of a recipe's decoder, and its training speed in captions per second."""
    data = Dataset(recipe.data)
    captions = data.load(("train",))
    text = training_text(data, captions, ("train",), recipe.text.rules)
    vocabulary = Vocabulary.fit((caption for picture in text.values() for caption in picture), recipe.text)
    features = open_features(recipe.features)
    some = dict(list(vocabulary.encode_all(text).items())[:pictures])
    keras.utils.set_random_seed(recipe.train.seed)
    policy = "mixed_bfloat16" if recipe.train.precision == "bfloat16" else "float32"
    decoder = build_decoder(recipe.model, len(vocabulary), features.shape, dtype=policy)
    weights, trained = decoder.count_params(), sum(map(len, some.values()))
    batches = CaptionBatches(features, some, recipe.train.batch_size, recipe.train.seed)
    if recipe.train.engine == "numpy":
        twin = Twin(decoder, recipe.train)
        return weights, trained / seconds(lambda: [twin.learn(batches.batch(at)) for at in range(len(batches))], TURNS)
    model, _ = compiled(decoder, recipe.train, len(batches))
    fed = batches.for_keras()
    return weights, trained / seconds(lambda: model.fit(fed, epochs=1, shuffle=False, verbose=0), TURNS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--pictures", type=int, default=960, help="An epoch's.")
    options = parser.parse_args()
    for name in options.recipes:
        recipe = load_recipe(find_recipe(name))
        weights, rate = measure(recipe, options.pictures)
        print(f"{name}: {recipe.model['architecture']}, {weights:,} weights, {rate:.0f} captions/s", flush=True)


if __name__ == "__main__":
    main()
