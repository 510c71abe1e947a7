"""Caption and score a split with a KerasHub model, which has no run folder and takes pictures instead of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from captioner.data.dataset import Dataset
from captioner.hub.loading import load_hub
from captioner.hub.names import digest_hub
from captioner.metrics.config import require_choice
from captioner.metrics.scorer import DIVERSITY, Scores
from captioner.picture_captioner import PictureCaptioner
from captioner.recipe import Recipe
from captioner.stages.evaluate import evaluate
from captioner.stages.freshness import evaluation_inputs
from captioner.storage import DataError


class SplitPictures:
    """Pictures in place of features, prepared when they are needed.

    Args:
        captioner: prepares the pictures.
        pictures: image_id -> path.
        path: the folder's name in messages.
    """

    description = None  # of an encoder
    digest = ""

    def __init__(self, captioner: PictureCaptioner, pictures: Mapping[str, Path], path: str) -> None:
        self.captioner, self.pictures, self.path = captioner, pictures, path

    def gather(self, ids: Sequence[str]) -> PreparedPictures:
        """Return the pictures of the given image_ids.

        Raises:
            DataError: an image_id has no picture.
        """
        missing = [image_id for image_id in ids if image_id not in self.pictures]
        if missing:
            raise DataError(
                f"{self.path}: has no picture {missing[0]!r} ({len(missing):,} are missing); name the right folder of "
                "pictures in data.images"
            )
        return PreparedPictures(self.captioner, [self.pictures[image_id] for image_id in ids])


class PreparedPictures(Sequence[np.ndarray]):
    """Paths of pictures that are prepared one by one, because all prepared pictures may not fit into memory."""

    def __init__(self, captioner: PictureCaptioner, paths: Sequence[Path]) -> None:
        self.captioner, self.paths = captioner, paths

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> PreparedPictures: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | PreparedPictures:
        if isinstance(index, slice):
            return PreparedPictures(self.captioner, self.paths[index])
        return self.captioner.prepare(self.paths[index])


def evaluate_hub(
    name: str, recipe: Recipe, output: Path, generation: Mapping[str, Any], data: Dataset | None = None
) -> Scores:
    """Caption and score a split of a recipe's data with a KerasHub model.

    Args:
        name: `hub:` and a preset.
        recipe: only its `data` and `evaluation` are used.
        output: folder for predictions.json, scores.json and per_image.csv.
        generation: settings of GenerationConfig that differ from the model's defaults.
        data: the recipe's data set, if it has been read already.

    Raises:
        ConfigError, DataError: see captioner.hub.loading.load_hub and captioner.stages.evaluate.evaluate; or a picture
            of the split is missing or cannot be read.
    """
    config, data = recipe.evaluation, data or Dataset(recipe.data)
    require_choice(config)
    captioner = load_hub(name)
    changes = captioner.widened(config.n, generation)
    captioner.wide_search(config.n, **changes)  # reports an impossible setting before any file is read
    novelty = DIVERSITY in config.metrics and data.has_split("train")
    captions = data.load((config.split, "train") if novelty else (config.split,))
    pictures = SplitPictures(captioner, captions.pictures, recipe.data.images or "data.images")
    pictures.gather(captions.split(config.split))  # reports a missing picture before any is captioned
    inputs = evaluation_inputs([digest_hub(name)], [pictures.digest], data, config.split)
    return evaluate(captioner, captions, pictures, config, output, inputs=inputs, generation=changes)
