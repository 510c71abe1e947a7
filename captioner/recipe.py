"""Recipe: all sections of a YAML file, and access to the built-in recipes and the sample."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from captioner.config import ConfigError, build, load_yaml, override, to_settings
from captioner.data.dataset import DataConfig
from captioner.encoders.config import EncoderConfig
from captioner.extraction.config import ExtractionConfig
from captioner.features.layout import Layout
from captioner.generation.config import GenerationConfig
from captioner.metrics.config import EvaluationConfig, require_choice
from captioner.metrics.scorer import require_metrics
from captioner.models.config import ARCHITECTURES, model_config
from captioner.recipe_paths import base_of, placed, with_paths
from captioner.run_folder import CONFIG, require_finished
from captioner.storage import DataError, read_manifest
from captioner.text.vocabulary import TextConfig
from captioner.training.config import TrainConfig

logger = logging.getLogger(__name__)

OWN = "captioner.yaml"  # in the current folder; a command without -c looks for it first
SAMPLE = "configs/sample.yaml"
FEATURES = Path("features")  # folder for the features if the recipe names no file


@dataclass(frozen=True)
class Recipe:
    """All settings of the stages, from pictures to scores.

    Attributes:
        data: captions, pictures and splits.
        features: the file that extraction writes and training reads. By default, a file in `features/` that is named
            after the folder of pictures, the encoder and the layer.
        features_layout: position of the channels in the arrays of a file that another program wrote. `auto` uses the
            last axis, and refuses arrays that seem to have channels first.
        encoder: the network that computes the features.
        extraction: speed settings of extraction.
        text: how captions are split into words.
        model: `architecture` and its settings.
        train: how the decoder is trained.
        generation: how captions are generated.
        evaluation: the settings of the scores.
    """

    data: DataConfig
    features: str = ""
    features_layout: Layout = "auto"
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    extraction: ExtractionConfig = field(default_factory=ExtractionConfig)
    text: TextConfig = field(default_factory=TextConfig)
    model: dict[str, Any] = field(default_factory=dict)
    train: TrainConfig = field(default_factory=TrainConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        if not self.features:
            if self.data.images is None:
                raise ConfigError("features: missing; name the feature file, or the folder of pictures in data.images")
            object.__setattr__(self, "features", default_features(self.data.images, self.encoder))


def default_features(images: str, encoder: EncoderConfig) -> str:
    """Return the feature file of a recipe that names none: one per folder of pictures and encoder."""
    parts = [Path(images).resolve().name, encoder.backbone.replace(":", "_").replace("/", "_"), encoder.layer]
    parts += [] if encoder.input_size is None else [str(encoder.input_size)]
    parts += [] if encoder.weights == "imagenet" else [Path(encoder.weights).stem]
    parts += [] if encoder.resizing == "whole" else [encoder.resizing]
    return str(FEATURES / f"{'_'.join(parts)}.{'pkl' if encoder.layer == 'pool' else 'h5'}")


@dataclass(frozen=True)
class Source:
    """The source of a recipe.

    Attributes:
        path: the YAML file.
        embedded: whether it is the sample's recipe, used because no other was given.
    """

    path: Path
    embedded: bool = False

    @property
    def name(self) -> str:
        """The recipe's name, which is the default name of its runs."""
        return self.path.stem

    def command(self, name: str) -> str:
        """Return the command `name` with this recipe, as typed: `captioner extract -c RECIPE`."""
        return f"captioner {name}" if self.embedded or self.path == Path(OWN) else f"captioner {name} -c {self.path}"

    @property
    def places(self) -> list[Path]:
        """The folders that the recipe's paths may be relative to: its own first, except for built-in recipes."""
        if self.embedded or self.path.parent == in_the_box("configs"):
            return [Path()]
        return list(dict.fromkeys([base_of(self.path), Path()]))


def find_recipe(named: str | None) -> Source:
    """Return the recipe for a command: the named one, the one in the current folder, or the sample's.

    A built-in recipe is found by its name or its path in the project, from any current folder.

    Raises:
        DataError: the named recipe does not exist.
    """
    if named is None:
        own = Path(OWN)
        return Source(own) if own.is_file() else Source(in_the_box(SAMPLE), embedded=True)
    path = Path(named)
    if path.is_file():
        return Source(path)
    boxed = in_the_box(f"configs/{path.name.removesuffix('.yaml')}.yaml")
    if path.parent in (Path(), Path("configs")) and boxed.is_file():
        return Source(boxed)
    known = ", ".join(sorted(recipe.stem for recipe in in_the_box("configs").glob("*.yaml")))
    raise DataError(f"{named}: no such recipe; give a YAML file, or a built-in recipe: {known}")


def in_the_box(path: str) -> Path:
    """Return the path of a file that comes with captioner, in the installed package or in a source checkout."""
    package = Path(__file__).parent
    embedded = package / "embedded" / path
    return embedded if embedded.exists() else package.parent / path


def load_recipe(source: Source, assignments: Sequence[str] = (), places: Sequence[Path] | None = None) -> Recipe:
    """Read and check a recipe.

    Args:
        source: from `find_recipe`.
        assignments: `section.key=value`, which replace the file's values; paths in them start from the current folder.
        places: the folders that relative paths in the file may start from. The first one is used for paths that do not
            exist in any of them. None for the recipe's folder and the current one.

    Raises:
        DataError: the file cannot be read.
        ConfigError: an unknown key, a wrong type or an impossible value.
    """
    settings = load_yaml(source.path)
    places = source.places if places is None else places
    found = with_paths(_expanded(settings), lambda path: placed(path, places))
    overridden = _expanded(override(with_architecture(found, assignments), assignments))
    try:
        recipe = _checked(overridden)
    except ConfigError as error:
        where = "--set" if assignments and _is_sound(settings) else source.path
        raise ConfigError(f"{where}: {error}") from None
    if not overridden.get("features"):  # put the features beside the recipe's other files
        recipe = replace(recipe, features=placed(recipe.features, places[:1]))
    if "split_lists" not in overridden["data"]:
        recipe = replace(recipe, data=replace(recipe.data, split_lists=placed(recipe.data.split_lists, places[:1])))
    return from_the_box(recipe)


def read_run(folder: Path, assignments: Sequence[str] = ()) -> Recipe:
    """Return the recipe that a run folder was trained with.

    Its paths start from the folder in which the run was trained. This folder is found relative to the run, in case both
    were moved together, or at its old path.

    Raises:
        DataError: the folder is not a finished run.
        ConfigError: an assignment is wrong.
    """
    require_finished(folder)
    trained_in = (read_manifest(folder) or {}).get("trained_in") or {}
    places = [folder / trained_in["from_run"], Path(trained_in["folder"])] if trained_in else []
    here = [place for place in places if place.is_dir() and place.resolve() == Path().resolve()]
    return load_recipe(Source(folder / CONFIG), assignments, [Path(), *places] if here else [*places, Path()])


def with_architecture(settings: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Return a recipe's settings adapted to the architecture that `--set model.architecture` selects.

    Model settings that the new architecture does not have are dropped and logged. If the architecture needs the other
    kind of features, the encoder's layer is changed to the grid or the pooled vector, and so is the feature file.
    """
    asked = override({}, assignments)
    section = asked.get("model")
    wanted = section.get("architecture") if isinstance(section, dict) else None
    model = settings.get("model") or {}
    before = model.get("architecture", "merge") if isinstance(model, Mapping) else None
    if not isinstance(wanted, str) or not isinstance(before, str) or wanted == before:
        return dict(settings)
    if wanted not in ARCHITECTURES or before not in ARCHITECTURES:
        return dict(settings)
    known = {item.name for item in fields(ARCHITECTURES[wanted].config)}
    dropped = [key for key in model if key not in known and key != "architecture"]
    if dropped:
        names = ", ".join(f"model.{key}" for key in dropped)
        logger.warning(f"{names}: ignored, because {wanted} has no such setting")
    changed = {**settings, "model": {key: value for key, value in model.items() if key not in dropped}}
    grid = ARCHITECTURES[wanted].takes_grid
    if grid != ARCHITECTURES[before].takes_grid and "layer" not in (asked.get("encoder") or {}):
        layer = "grid" if grid else "pool"
        changed["encoder"] = {**(settings.get("encoder") or {}), "layer": layer}
        changed.pop("features", None)
        logger.warning(f"encoder.layer: changed to {layer}, which {wanted} needs; using a separate feature file")
    return changed


def _expanded(value: Any) -> Any:
    """Return settings in which paths that begin with the user's home folder, `~/`, are expanded."""
    if isinstance(value, Mapping):
        return {key: _expanded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    if isinstance(value, str) and (value == "~" or value.startswith(("~/", "~\\"))):
        return str(Path(value).expanduser())
    return value


def _checked(settings: Mapping[str, Any]) -> Recipe:
    recipe = build(Recipe, settings)
    _require_pieces(recipe)
    require_metrics(recipe.evaluation.metrics, "evaluation.metrics")
    require_choice(recipe.evaluation)
    return recipe


def _require_pieces(recipe: Recipe) -> None:
    """Refuse the architecture `prefix` with other text pieces than its language model's."""
    name, model = model_config(recipe.model)
    if name == "prefix" and recipe.text.pieces != model.language_model:
        raise ConfigError(
            f"text.pieces: {recipe.text.pieces or 'missing'}; the architecture prefix needs its language model's "
            f"pieces: set it to {model.language_model}, and text.vocabulary to bpe"
        )


def _is_sound(settings: Mapping[str, Any]) -> bool:
    try:
        _checked(settings)
    except ConfigError:
        return False
    return True


def from_the_box(recipe: Recipe) -> Recipe:
    """Replace a recipe's inputs by the files that come with captioner if they do not exist in the current folder."""
    settings = to_settings(recipe)
    data = settings["data"]
    for key in ("images", "captions"):
        data[key] = [_find(path) for path in data[key]] if isinstance(data[key], list) else _find(data[key])
    data["splits"] = {name: _find(path) for name, path in data["splits"].items()}
    return build(Recipe, settings)


def _find(path: Any) -> Any:
    # a split may be a share, a number
    if not isinstance(path, str) or Path(path).exists() or not path.startswith("data/sample"):
        return path
    return str(in_the_box(path))
