"""Write the report of a run folder from its files and the facts about it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import captioner
from captioner.config import ConfigError, build, load_yaml, to_settings
from captioner.data.dataset import DataConfig, read_captions
from captioner.features.store import open_features
from captioner.images.listing import list_images
from captioner.output_places import require_page
from captioner.recipe import read_run
from captioner.report.gather import Evaluation, gather
from captioner.report.neighbours import training_neighbours
from captioner.report.page import write_page
from captioner.report.pictures import Shown
from captioner.results import read_scores, require_whole
from captioner.run_folder import CAPTIONER, CONFIG, PER_IMAGE, REPORT, SCORES, evaluations, results_of
from captioner.storage import DataError, read_json, read_manifest

logger = logging.getLogger(__name__)


def report_run(
    folder: Path,
    output: Path | None = None,
    *,
    evaluation: Path | None = None,
    references: Sequence[Path] = (),
    images: Path | None = None,
    shown: int,
    load: Callable[[str], Any] = captioner.load,
) -> Path:
    """Write the report on an evaluated run, and return its path.

    Args:
        folder: a run folder, or a folder of `captioner evaluate --predictions`.
        output: path of the page; None for report.html in the folder.
        evaluation: the folder of the results; None for the run's newest evaluation.
        references: caption files instead of the run's.
        images: the folder of pictures instead of the run's.
        shown: maximum number of pictures to show, the best and the worst.
        load: loads the run's captioner; called only if it may have attention.

    Raises:
        ConfigError: the references are not known.
        DataError: the run has not been evaluated, or a file is missing or broken.
    """
    output = output or folder / REPORT
    require_page(output)
    results = evaluation or results_of(folder)
    for name in (SCORES, PER_IMAGE):
        if not (results / name).is_file():
            raise DataError(f"{results}: has no {name}; captioner evaluate {folder} makes it")
    require_whole(results, folder)
    settings = _settings(folder)
    data = build(DataConfig, settings["data"], "data") if "data" in settings else None
    manifest = read_manifest(results / SCORES) or {}

    def attention(pictures: Mapping[str, Shown]) -> Mapping[str, dict[str, Any]]:
        return _attention(folder, settings, manifest, pictures, load)

    report = gather(
        folder,
        results,
        _references(references, data),
        _pictures(images, data),
        _facts(folder, results, settings),
        shown=shown,
        attention=attention,
        training=lambda captions: training_neighbours(settings, captions) if data else {},
        evaluations=_evaluations(folder, results),
    )
    write_page(report, output)
    return output


def _settings(folder: Path) -> dict[str, Any]:
    """Return the settings of a run with paths relative to the current folder; empty if the folder is not a run."""
    if not (folder / CONFIG).is_file():
        return {}
    if not (folder / CAPTIONER).is_file():
        return load_yaml(folder / CONFIG)
    return to_settings(read_run(folder))


def _evaluations(folder: Path, shown: Path) -> list[Evaluation]:
    """Return the scores of all evaluations of a run, beginning with the one that the page shows."""
    others = [path for path in evaluations(folder) if path.resolve() != shown.resolve()]
    return [Evaluation("this one" if path == folder else path.name, read_scores(path)[0]) for path in (shown, *others)]


def _references(named: Sequence[Path], data: DataConfig | None) -> Mapping[str, tuple[str, ...]]:
    if not named and data is None:
        raise ConfigError("-R: missing; name the captions that the predictions were scored against")
    if not named and data is not None:
        return read_captions(data.captions, data.format)
    return read_captions(named)


def _pictures(images: Path | None, data: DataConfig | None) -> dict[str, Path]:
    if images is not None:
        return list_images(images)
    if data is None or data.images is None or not Path(data.images).is_dir():
        logger.warning(
            "the folder of pictures is unknown or missing, so the page has no pictures; name the folder with --images"
        )
        return {}
    return list_images(data.images)


def _attention(
    folder: Path,
    settings: Mapping[str, Any],
    manifest: Mapping[str, Any],
    pictures: Mapping[str, Shown],
    load: Callable[[str], Any],
) -> Mapping[str, dict[str, Any]]:
    # Old manifests do not say whether there is attention. Keras is loaded only if there may be some.
    if not manifest.get("attention", True) or not (folder / CAPTIONER).is_file() or not pictures:
        return {}
    try:
        features = open_features(settings["features"], settings.get("features_layout", "auto"))
        loaded = load(str(folder))
        from captioner.report.attention import attention_maps  # after `load`, which may silence Keras

        return attention_maps(loaded, features, pictures, manifest.get("generation", {}))
    except (DataError, ConfigError) as error:
        logger.warning(f"the page has no attention maps: {error}")
        return {}


def _facts(folder: Path, results: Path, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    scores = read_json(results / SCORES)
    trained = (read_manifest(folder) if (folder / "manifest.json").is_file() else None) or {}
    encoder, model = settings.get("encoder", {}), settings.get("model", {})
    known = {
        "Split": scores.get("split"),
        "Pictures": f"{scores.get('pictures', 0):,}",
        "Architecture": model.get("architecture", "merge") if settings else None,
        "Encoder": " ".join(str(encoder[key]) for key in ("backbone", "layer") if key in encoder),
        "Beam size": scores.get("beam_size"),
        "Document frequencies": scores.get("cider_df"),
        "Trained in": _time(trained["seconds"]) if "seconds" in trained else None,
    }
    return [(name, str(value)) for name, value in known.items() if value]


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 5400 else f"{max(1, round(seconds / 60))} minutes"
