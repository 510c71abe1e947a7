"""Write the graphs for captioner.export.fast: encoder, first state and step, linked to a `.keras` file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from captioner.captioner import Captioner
from captioner.config import to_settings
from captioner.export.fast import ENCODER, FOLDER, START, STEP, VERSION
from captioner.export.formats import ExportPrecision
from captioner.export.graphs import encoder_piece, require_tensorflow, start_piece, step_piece
from captioner.export.onnx_file import require_onnx, write_onnx
from captioner.storage import digest_file


def write_fast_graph(file: Path, captioner: Captioner, precision: ExportPrecision = "float32") -> Path:
    """Write the graphs of a `.keras` file into the default folder beside it; return the folder.

    Args:
        file: the `.keras` file, such as a run folder's.
        captioner: the captioner in that file.
        precision: how weights are stored.

    Raises:
        ConfigError: the extra is not installed, or Keras does not run on TensorFlow.
        DataError: the encoder is not available, or a layer has no counterpart in ONNX.
    """
    write_graphs(file.parent / FOLDER, captioner, digest_file(file), precision)
    return file.parent / FOLDER


def write_graphs(folder: Path, captioner: Captioner, digest: str, precision: ExportPrecision = "float32") -> None:
    """Write the graphs into any folder; `digest` identifies the file that they are made from. See `write_fast_graph`.

    The step is written last. Without it, the folder does not count as a graph, so an interrupted export is harmless.
    """
    require_tensorflow()
    require_onnx()
    (folder / STEP).unlink(missing_ok=True)
    tie: dict[str, Any] = {"version": VERSION, "digest": digest}
    if captioner.encoder_description is not None:
        write_onnx(folder / ENCODER, encoder_piece(captioner.find_encoder()), precision, tie)
    write_onnx(folder / START, start_piece(captioner.decoder), precision, tie)
    description = {
        **tie,
        "vocabulary": captioner.vocabulary.to_json(),
        "generation": to_settings(captioner.generation),
        "calibration": None if captioner.calibration is None else to_settings(captioner.calibration),
        "familiarity": None if captioner.familiarity is None else captioner.familiarity.to_json(),
        "similar": None if captioner.similar is None else captioner.similar.to_json(),
        "encoder": captioner.encoder_description,
        "facts": captioner.facts()._asdict(),
    }
    write_onnx(folder / STEP, step_piece(captioner.decoder), precision, description)
