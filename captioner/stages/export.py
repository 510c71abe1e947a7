"""Export a trained captioner into a folder for another runtime, or as the graph that lets predict start fast."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from captioner import __version__
from captioner.captioner import Captioner, load
from captioner.config import ConfigError
from captioner.ensemble import Ensemble
from captioner.export import formats
from captioner.export.card import card
from captioner.export.fast import FOLDER, STEP, FastCaptioner
from captioner.export.fast_graph import write_fast_graph
from captioner.export.folder import completed, require_free
from captioner.export.formats import FORMATS, ExportPrecision
from captioner.export.graphs import require_tensorflow, whole_piece
from captioner.export.litert import write_litert
from captioner.export.onnx_file import write_onnx
from captioner.export.saved_model import write_saved_model
from captioner.export.web import require_runtime, write_page
from captioner.run_folder import CAPTIONER, require_finished
from captioner.storage import DataError, digest_file, read_text, write_json, write_manifest, write_text
from captioner.text.cleaning import BETWEEN_SPACELESS

logger = logging.getLogger(__name__)

RUNNERS = Path(__file__).parents[1] / "export" / "runners"


def write_run_graph(run: Path, precision: ExportPrecision = "float32") -> Path:
    """Write the graph of a run folder and return its path.

    Raises:
        ConfigError: the extra is not installed, or Keras does not run on TensorFlow.
        DataError: the folder is not a finished run, or its encoder is not available.
    """
    require_finished(run)
    return write_fast_graph(run / CAPTIONER, _load(run), precision)


def add_fast_graph(run: Path) -> None:
    """Write the graph of a run that has just been trained, if possible."""
    if not formats.is_installed("onnx") or _is_current(run):
        return
    try:
        write_run_graph(run)
    except (ConfigError, DataError) as error:
        logger.info(f"the graph for fast predict was not written: {error}")


def _is_current(run: Path) -> bool:
    if not (run / FOLDER / STEP).is_file():
        return False
    try:
        FastCaptioner(run / FOLDER, run / CAPTIONER)
    except DataError:
        return False
    return True


def export(
    runs: list[Path],
    name: str,
    folder: Path,
    *,
    n: int = 1,
    precision: ExportPrecision = "float32",
    overwrite: bool = False,
    data_licence: str | None = None,
    web_runtime: Path | None = None,
    **changes: Any,
) -> None:
    """Export a captioner, or an ensemble of several.

    Args:
        runs: run folders; more than one is an ensemble.
        name: a key of captioner.export.formats.FORMATS.
        folder: output folder; its manifest is written last.
        n: captions per picture.
        precision: how weights are stored.
        overwrite: replace an earlier export.
        data_licence: licence of the training data, for the model card.
        web_runtime: see captioner.export.web.require_runtime.
        changes: generation settings that differ from the captioner's.

    Raises:
        ConfigError: the format does not support the options.
        DataError: the folder is in use, a run folder is not a run, or an encoder is not available.
    """
    require_tensorflow()
    require_free(folder, overwrite)
    runtime = require_runtime(web_runtime) if name == "web" else None
    if len(runs) > 1 and name != "saved_model":
        raise ConfigError(f"--format {name}: does not support ensembles; export one run, or use --format saved_model")
    members = [_load(run) for run in runs]
    captioner = members[0] if len(members) == 1 else Ensemble(members, runs)
    changes = captioner.widened(n, changes)
    if captioner.search(n, **changes).config.consensus:
        logger.warning(
            "consensus: an exported folder has no captions of training pictures and chooses by probability alone; "
            "--consensus 0 exports without this warning"
        )
    if name == "web":  # the page's slider can show every hypothesis
        n = captioner.search(**changes).config.beam_size
    facts = _facts(captioner, members, runs, n, precision, changes)
    with completed(folder) as part:
        _write(part, captioner, name, facts, **changes)
        write_text(part / "README.md", card(runs, name, facts, data_licence))
        if runtime is None:
            write_text(part / "run.py", run_program(name))
        else:
            write_page(part, runtime)
        write_manifest(part, "export", format=name, digests=facts["digests"], precision=precision)
    logger.info(f"{folder} is ready; try it with: {_next_step(folder, name)}")


def _write(folder: Path, captioner: Captioner, name: str, facts: dict[str, Any], **changes: Any) -> None:
    """Write the model, its vocabulary and its settings."""
    path, n, precision = folder / FORMATS[name].file, facts["captions"], facts["precision"]
    if name == "saved_model":
        write_saved_model(path, captioner, n, precision, **changes)
    elif name == "litert":
        write_litert(path, whole_piece(captioner, n, pictures=1, **changes), precision)
    else:
        write_onnx(path, whole_piece(captioner, n, **changes), precision, {"digest": facts["digests"][0]})
    captioner.vocabulary.save(folder / "vocabulary.json")
    write_json(folder / "settings.json", facts)


def run_program(name: str) -> str:
    """Return run.py for a format."""
    if name == "saved_model":
        return read_text(RUNNERS / "files.txt")
    program = read_text(RUNNERS / "pixels.txt").replace("RUNTIME", FORMATS[name].runtime)
    begin, end = program.index("def caption("), program.index('if __name__ == "__main__":')
    return program[:begin] + read_text(RUNNERS / f"{name}.txt") + "\n\n" + program[end:]


def _next_step(folder: Path, name: str) -> str:
    return f"python -m http.server -d {folder}" if name == "web" else f"python {folder / 'run.py'} PICTURE"


def _load(run: Path) -> Captioner:
    """Load a run's captioner with its encoder. Raises DataError, which names the run."""
    captioner = load(run)
    try:
        captioner.find_encoder()
    except DataError as error:
        raise DataError(f"{run}: {error}") from None
    return captioner


def _facts(
    captioner: Captioner, members: list[Captioner], runs: list[Path], n: int, precision: str, changes: dict[str, Any]
) -> dict[str, Any]:
    """Return the facts that run.py, the page and the model card need."""
    config = captioner.search(n, **changes).config
    descriptions = [member.encoder_description or {} for member in members]
    decoders = [type(member.decoder).__name__.removesuffix("Decoder") for member in members]
    made = [f"{decoder} over {one['backbone']}" for decoder, one in zip(decoders, descriptions, strict=True)]
    first = descriptions[0] if len(members) == 1 else {}
    return {
        "captioner": __version__,
        "name": " + ".join(run.resolve().name for run in runs),
        "about": " and ".join(made),
        "encoders": [one["backbone"] for one in descriptions],
        **{key: first[key] for key in ("input_size", "resizing", "filter") if key in first},
        "no_space_between": BETWEEN_SPACELESS.pattern,
        "search": "greedy" if config.beam_size == 1 else f"beam {config.beam_size}",
        "captions": n,
        "max_length": config.max_length,
        "precision": precision,
        "words": len(captioner.vocabulary),
        "digests": [digest_file(run / CAPTIONER) for run in runs],
    }
