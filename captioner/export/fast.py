"""Captions with a fast start: a run's graphs on onnxruntime and a search in NumPy, without Keras and TensorFlow."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from captioner.config import ConfigError, build, to_settings
from captioner.export.numpy_constrained import ConstrainedNumpySearch
from captioner.export.numpy_search import NumpySearch
from captioner.export.runtime import import_onnxruntime
from captioner.generation.caption import Caption, captions_of
from captioner.generation.config import GenerationConfig
from captioner.generation.options import settings_of
from captioner.generation.searches import Searches
from captioner.generation.word_rules import Numbers
from captioner.images.decode import resize
from captioner.images.pictures import picture_array
from captioner.metrics.calibration import Calibration
from captioner.picture_captioner import PICTURES_AT_ONCE, Facts, Picture, PictureCaptioner
from captioner.run_folder import CAPTIONER, FAST
from captioner.storage import DataError, digest_file
from captioner.text.vocabulary import Vocabulary
from captioner.training.baseline import averaged
from captioner.training.familiarity import Familiarity
from captioner.training.similar_pictures import SimilarPictures

FOLDER = FAST  # in a run folder
ENCODER, START, STEP = "encoder.onnx", "start.onnx", "step.onnx"
VECTORS = "vectors"  # output of the first graph
KEY = "captioner"  # key of the metadata in a graph
VERSION = 2
BATCH_SIZE = 8  # pictures; small, so that the first captions come early
ENCODED_AT_ONCE = 4  # pictures; more need memory and are not faster

# Settings that the search in NumPy supports; new ones in GenerationConfig need Keras until they are added here.
SETTINGS = frozenset(
    (
        *("beam_size", "max_length", "normalization", "length_penalty", "groups", "diversity", "sampling"),
        *("temperature", "top_k", "top_p", "seed", "min_length", "no_repeat_ngram", "banned_words", "bad_endings"),
        *("allow_unk", "start", "must_include", "consensus"),
    )
)


class NoGraphError(DataError):
    """There is no usable graph; the message says why, and which command writes one."""


class UnsupportedSettingError(ConfigError):
    """A generation setting that only Keras supports."""


class FastCaptioner(PictureCaptioner):
    """A trained captioner on onnxruntime; `caption` works as in captioner.captioner.Captioner, with the same captions.

    Args:
        folder: folder of the graphs, see captioner.export.fast_graph.
        made_from: the `.keras` file that the graphs must have been made from; None for any file.

    Raises:
        NoGraphError: a graph is missing or broken, onnxruntime is not installed, or `made_from` is another file.
    """

    batch_size = BATCH_SIZE

    def __init__(self, folder: str | Path, made_from: str | Path | None = None) -> None:
        self.folder = Path(folder)
        self._step = _session(self.folder / STEP)
        description = self._description(made_from)
        try:
            self._read(description)
        except (KeyError, ValueError, TypeError, ConfigError, DataError) as error:
            reason = f"its description is broken ({error!r})"
            raise NoGraphError(f"{self.folder / STEP}: {reason}; write it again with captioner export") from None
        self._start = _session(self.folder / START)
        self._encoder: Any = None
        self._searches = Searches(self._make_search)
        self._lock = threading.Lock()
        self._state = _numbered(self._step.get_inputs(), "state_")
        self._memory = _numbered(self._step.get_inputs(), "memory_")
        self._start_inputs = {one.name for one in self._start.get_inputs()}
        self._step_inputs = {one.name for one in self._step.get_inputs()}
        self._start_outputs = [one.name for one in self._start.get_outputs()]
        self._step_outputs = [one.name for one in self._step.get_outputs()]

    def _read(self, description: Mapping[str, Any]) -> None:
        """Set what the description holds."""
        self.vocabulary = Vocabulary.from_json(description["vocabulary"])
        known = {key: value for key, value in description["generation"].items() if key in SETTINGS}
        self.generation = build(GenerationConfig, known, "generation")
        calibration = description["calibration"]
        self.calibration = None if calibration is None else build(Calibration, calibration, "calibration")
        familiarity = description["familiarity"]
        self.familiarity = None if familiarity is None else Familiarity.from_json(familiarity)
        similar = description.get("similar")
        self.similar = None if similar is None else SimilarPictures.from_json(similar)
        self.encoder_description = description["encoder"]
        facts = description["facts"]
        self.feature_shape = tuple(facts["feature_shape"])
        self._facts = Facts(facts["architecture"], facts["weights"], self.feature_shape)

    def _description(self, made_from: str | Path | None) -> dict[str, Any]:
        path = self.folder / STEP
        try:
            description = json.loads(self._step.get_modelmeta().custom_metadata_map[KEY])
            version, digest = description["version"], description["digest"]
        except (KeyError, ValueError, TypeError):
            raise NoGraphError(f"{path}: is not a graph of captioner; write it again with captioner export") from None
        if version != VERSION:
            raise NoGraphError(f"{path}: written by another version of captioner; write it again with captioner export")
        if made_from is not None and digest != digest_file(made_from):
            raise NoGraphError(
                f"{self.folder}: was made from another file than {made_from}; {_maker(Path(made_from))} writes it again"
            )
        unknown = _other_than_default(description["generation"])
        if unknown:
            raise NoGraphError(f"{self.folder}: the captioner's setting {unknown[0]} is supported only by Keras")
        return description

    def facts(self) -> Facts:
        """See PictureCaptioner.facts."""
        return self._facts

    def search(self, n: int = 1, **changes: Any) -> NumpySearch:
        """Return the search that returns `n` captions per picture.

        Args:
            n: captions per picture.
            changes: see Captioner.search.

        Raises:
            ConfigError: a setting is impossible, or n is above the beam size.
            UnsupportedSettingError: only Keras supports a setting.
            TypeError: an option does not exist.
        """
        settings = settings_of(changes)
        if unknown := _other_than_default(settings):
            raise UnsupportedSettingError(f"only Keras supports the setting {unknown[0]}")
        config = build(GenerationConfig, {**to_settings(self.generation), **settings})
        found: NumpySearch = self._searches.get(n, config)
        return found

    def _make_search(self, n: int, config: GenerationConfig) -> NumpySearch:
        kind = ConstrainedNumpySearch if config.must_include else NumpySearch
        return kind(self, config, n, self.vocabulary)

    def caption_features(self, features: Any, n: int = 1, first: Numbers = 0, **changes: Any) -> list[list[Caption]]:
        """See Captioner.caption_features."""
        search, features = self.wide_search(n, **changes), np.asarray(features, np.float32)
        if features.shape[1:] != self.feature_shape:
            raise DataError(
                f"features: this captioner expects the shape {self.feature_shape} per picture, found "
                f"{features.shape[1:]}"
            )
        captions: list[list[Caption]] = []
        vectors: list[np.ndarray] = []
        for start in range(0, len(features), PICTURES_AT_ONCE):
            part = features[start : start + PICTURES_AT_ONCE]
            numbers = first + start if isinstance(first, int) else first[start : start + len(part)]
            begun = self._begin(part, search.config.max_length)
            found = search.run(begun, len(part), numbers)
            captions += [captions_of(found, row, self.vocabulary, search) for row in range(len(part))]
            vectors += [begun[VECTORS]] if VECTORS in begun else []  # as Captioner.vectors
        compared = np.concatenate(vectors) if vectors else averaged(features)
        return self.chosen(captions, features, compared, n, search.config)

    def find_encoder(self) -> Any:
        """Return the encoder's session, which is opened at the first call.

        Raises:
            DataError: the captioner's encoder is not known, or its graph is missing or broken.
        """
        if self.encoder_description is None:
            raise DataError(
                "this captioner was trained on features without the name of their encoder, so it cannot caption "
                "pictures; extract the features with captioner extract and train again"
            )
        with self._lock:
            if self._encoder is None:
                self._encoder = _session(self.folder / ENCODER)
        return self._encoder

    def prepare(self, picture: Picture, name: str = "the picture") -> np.ndarray:
        """See Captioner.prepare."""
        self.find_encoder()
        description: Mapping[str, Any] = self.encoder_description or {}
        height, width = description["input_size"]
        array = picture_array(picture, name, at_least=(height, width))
        return resize(array, (height, width), description["resizing"], description["filter"])

    def encode_prepared(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """See Captioner.encode_prepared."""
        encoder = self.find_encoder()
        parts = [
            encoder.run(["features"], {"pictures": np.stack(pictures[start : start + ENCODED_AT_ONCE])})[0]
            for start in range(0, len(pictures), ENCODED_AT_ONCE)
        ]
        features = np.concatenate(parts)
        self.warn_of_unlike(features)
        return features

    def _begin(self, features: np.ndarray, max_length: int) -> dict[str, np.ndarray]:
        """Return the outputs of the first graph by name."""
        given = {"features": features, "max_length": np.array(max_length, np.int32)}
        found = self._start.run(None, {name: value for name, value in given.items() if name in self._start_inputs})
        return dict(zip(self._start_outputs, found, strict=True))

    def start(self, features: Any, max_length: int) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
        """See captioner.export.numpy_search.Step; instead of features, it also takes the result of `_begin`."""
        begun = features if isinstance(features, dict) else self._begin(features, max_length)
        return {name: begun[name] for name in self._memory}, [begun[name] for name in self._state]

    def step(
        self, token: np.ndarray, position: int, state: list[np.ndarray], memory: Any
    ) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], np.ndarray]:
        """See captioner.export.numpy_search.Step."""
        given = {"token": token, "position": np.array(position, np.int32), **memory}
        given |= dict(zip(self._state, state, strict=True))
        found = self._step.run(None, {name: value for name, value in given.items() if name in self._step_inputs})
        by_name = dict(zip(self._step_outputs, found, strict=True))
        attention = by_name.get("attention", np.zeros((len(token), 0), np.float32))
        return by_name["logits"], by_name["total"], [by_name[f"new_{name}"] for name in self._state], attention


def has_graph(path: str | os.PathLike[str]) -> bool:
    """Tell whether a run folder, or the folder of a `.keras` file, has graphs, made from this or another file."""
    folder = Path(path).parent if Path(path).suffix == ".keras" else Path(path)
    return (folder / FOLDER / STEP).is_file() or (folder / STEP).is_file()


def load_fast(path: str | os.PathLike[str]) -> FastCaptioner:
    """Load the graphs of a run folder, or of a folder that contains only graphs.

    Raises:
        NoGraphError: there are no graphs, or they were made from another `.keras` file than the folder's.
        DataError: `path` does not exist.
    """
    path = Path(path)
    run = path.parent if path.suffix == ".keras" else path
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if (run / STEP).is_file():
        return FastCaptioner(run)
    file = path if path.suffix == ".keras" else run / CAPTIONER
    if not file.is_file():
        raise DataError(f"{path}: is not a run folder, it has no {CAPTIONER}; captioner train -o {path} makes one")
    if not (run / FOLDER / STEP).is_file():
        raise NoGraphError(f"{run}: has no graph for onnxruntime; {_maker(file)} writes it")
    return FastCaptioner(run / FOLDER, file)


def _maker(file: Path) -> str:
    """Return the command that writes the graph of a `.keras` file."""
    if file.name == CAPTIONER:
        return f"captioner export {file.parent}"
    return f"python -m captioner.pretrained.make --graph {file}"


def _session(path: Path) -> Any:
    try:
        onnxruntime = import_onnxruntime()
    except ImportError:
        raise NoGraphError("onnxruntime is not installed; `pip install 'captioner[fast]'`") from None
    if not path.is_file():
        raise NoGraphError(f"{path}: no such graph; captioner export writes it")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # warnings of the optimizer are of no use to users
    # Encoder, start and step run alternately, so the threads of one must not spin while another computes.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.enable_cpu_mem_arena = False  # the arena keeps twice the memory that a picture needs
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdigit() and int(threads):
        options.intra_op_num_threads = int(threads)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a separate class for each of a dozen error codes
        reason = " ".join(str(error).split())[:160]
        raise NoGraphError(f"{path}: cannot be read by onnxruntime ({reason}); write it again") from None


def _numbered(inputs: Sequence[Any], prefix: str) -> list[str]:
    names = [one.name for one in inputs if one.name.startswith(prefix)]
    return sorted(names, key=lambda name: int(name.removeprefix(prefix)))


def _other_than_default(settings: Mapping[str, Any]) -> list[str]:
    """Return the settings that the search in NumPy does not support and that differ from their defaults."""
    defaults = {field.name: to_settings(GenerationConfig())[field.name] for field in fields(GenerationConfig)}
    return [name for name, value in settings.items() if name not in SETTINGS and value != defaults.get(name)]
