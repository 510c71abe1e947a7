import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioner.config import ConfigError, build
from captioner.storage import DataError, read_manifest
from captioner.vision import extraction
from captioner.vision.backbones import WEIGHTS_FOLDER
from captioner.vision.encoders import Encoder, EncoderConfig, build_encoder
from captioner.vision.extraction import ExtractionConfig, extract
from captioner.vision.features import open_features
from captioner.vision.images import load_image

SHARED = Path(__file__).parents[2].parent / "shared"
SMALL = ExtractionConfig(batch_size=4, precision="float32")


def tiny(layer="pool"):
    return EncoderConfig("tiny", layer, "random")


@pytest.fixture
def folder(tmp_path):
    """Eleven pictures and a broken one, p05."""
    generator = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for index in range(12):
        picture = Image.fromarray(generator.integers(0, 256, (20, 30, 3), np.uint8))
        picture.save(tmp_path / "images" / f"p{index:02}.png")
    (tmp_path / "images" / "p05.png").write_bytes(b"broken")
    return tmp_path / "images"


@pytest.fixture
def quiet():
    return lambda line: None


@pytest.mark.parametrize("suffix", [".pkl", ".h5"])
def test_every_picture_gets_its_own_features(folder, tmp_path, suffix):
    said = []
    output = tmp_path / f"f{suffix}"
    result = extract(folder, output, tiny(), SMALL, say=said.append)
    store = open_features(output)
    encoder = build_encoder(tiny())
    assert list(store) == [f"p{index:02}" for index in range(12) if index != 5]
    assert store.description == encoder.description
    for name in store:
        expected = encoder.encode(encoder.prepare(load_image(folder / f"{name}.png"))[None])[0]
        np.testing.assert_allclose(store[name], expected, rtol=1e-3)
    assert (result.pictures, result.precision, result.up_to_date) == (11, "float32", False)
    assert list(result.skipped) == ["p05"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["images", output.name, f"{output.name}.manifest.json", f"{output.name}.skipped.csv"]
    )
    assert any("12 pictures on cpu:0 in float32" in line or "12 pictures on gpu:0" in line for line in said)


def test_a_broken_picture_is_named(folder, tmp_path, quiet):
    extract(folder, tmp_path / "f.pkl", tiny(), SMALL, say=quiet)
    with (tmp_path / "f.pkl.skipped.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["image_id"] == "p05"
    assert "p05.png: not a picture" in row["reason"]
    assert list(read_manifest(tmp_path / "f.pkl")["skipped"]) == ["p05"]
    (folder / "p05.png").unlink()
    extract(folder, tmp_path / "f.pkl", tiny(), SMALL, say=quiet)
    assert not (tmp_path / "f.pkl.skipped.csv").exists()


def test_strict_ends_at_a_broken_picture(folder, tmp_path, quiet):
    with pytest.raises(DataError, match=r"p05\.png: not a picture"):
        extract(folder, tmp_path / "f.pkl", tiny(), SMALL, strict=True, say=quiet)
    assert not (tmp_path / "f.pkl").exists()


def test_pictures_that_are_all_broken(tmp_path, quiet):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").touch()
    with pytest.raises(DataError, match=r"none of its 1 pictures can be read; the first: .*a\.jpg: empty"):
        extract(tmp_path / "images", tmp_path / "f.pkl", tiny(), SMALL, say=quiet)


@pytest.mark.parametrize("suffix", [".pkl", ".h5"])
@pytest.mark.parametrize("batches", [0, 1, 2])
def test_a_stopped_extraction_goes_on_to_the_same_bytes(folder, tmp_path, monkeypatch, quiet, suffix, batches):
    whole, output = tmp_path / f"whole{suffix}", tmp_path / f"f{suffix}"
    extract(folder, whole, tiny(), SMALL, say=quiet)
    encode, calls = Encoder.encode, []

    def stop(self, pictures):
        calls.append(len(pictures))
        if len(calls) > batches:
            raise KeyboardInterrupt
        return encode(self, pictures)

    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "encode", stop)
        with pytest.raises(KeyboardInterrupt):
            extract(folder, output, tiny(), SMALL, say=quiet)
    assert not output.exists()
    calls.clear()
    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "encode", lambda self, pictures: calls.append(0) or encode(self, pictures))
        extract(folder, output, tiny(), SMALL, say=quiet)
    assert len(calls) == 3 - batches
    assert output.read_bytes() == whole.read_bytes()
    assert read_manifest(output) == read_manifest(whole)
    assert not list(tmp_path.glob("*.partial"))


def test_killed_before_its_manifest_it_is_finished(folder, tmp_path, monkeypatch, quiet):
    def killed(*arguments, **settings):
        raise KeyboardInterrupt

    output = tmp_path / "f.pkl"
    with monkeypatch.context() as patch:
        patch.setattr("captioner.vision.features.write_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            extract(folder, output, tiny(), SMALL, say=quiet)
    assert output.exists()
    assert extract(folder, output, tiny(), SMALL, say=quiet).pictures == 11
    assert open_features(output).description is not None


def test_what_is_up_to_date_is_left_alone(folder, tmp_path, quiet):
    output = tmp_path / "f.h5"
    first = extract(folder, output, tiny(), SMALL, say=quiet)
    before = output.stat().st_mtime_ns
    again = extract(folder, output, tiny(), SMALL, overwrite=True, say=quiet)
    assert again.up_to_date
    assert (again.pictures, again.skipped) == (first.pictures, first.skipped)
    assert output.stat().st_mtime_ns == before
    Image.new("RGB", (8, 8)).save(folder / "new.png")
    changed = extract(folder, output, tiny(), SMALL, say=quiet)
    assert (changed.up_to_date, changed.pictures) == (False, 12)
    assert not extract(folder, output, tiny(), ExtractionConfig(dtype="float32"), say=quiet).up_to_date


def test_an_output_of_another_encoder_or_of_nobody_is_refused(folder, tmp_path, quiet):
    output = tmp_path / "f.pkl"
    extract(folder, output, tiny(), SMALL, say=quiet)
    grid = tiny("grid")
    with pytest.raises(DataError, match=r"of another encoder \(layer: pool against conv\)"):
        extract(folder, output, grid, SMALL, say=quiet)
    assert extract(folder, output, grid, SMALL, overwrite=True, say=quiet).pictures == 11
    assert open_features(output).shape == (24, 6)
    output.write_bytes(b"mine")
    with pytest.raises(DataError, match="does not fit"):
        extract(folder, output, grid, SMALL, say=quiet)
    (tmp_path / "f.pkl.manifest.json").unlink()
    with pytest.raises(DataError, match="nothing says what made it"):
        extract(folder, output, grid, SMALL, say=quiet)
    assert output.read_bytes() == b"mine"


def test_a_partial_file_of_other_settings_is_begun_anew_aloud(folder, tmp_path):
    said = []
    (tmp_path / "f.pkl.partial").write_text('{"partial": 1, "precision": "float32"}\n')
    assert extract(folder, tmp_path / "f.pkl", tiny(), SMALL, say=said.append).pictures == 11
    assert said[0] == "f.pkl.partial is of other pictures or settings: starting anew"


def test_auto_precision_is_measured_once_and_kept(folder, tmp_path, monkeypatch):
    auto, said = ExtractionConfig(batch_size=4), []
    assert extract(folder, tmp_path / "few.pkl", tiny(), auto, say=said.append).precision == "float32", "not worth it"
    monkeypatch.setattr(extraction, "PROBE_PAYS_FROM", 12)
    monkeypatch.setattr(extraction, "faster", lambda wide, narrow, pictures, say: narrow)

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(extraction, "_run", stop)
        extract(folder, tmp_path / "f.pkl", tiny(), auto, say=said.append)
    monkeypatch.setattr(extraction, "faster", stop)  # it must not be asked again
    assert extract(folder, tmp_path / "f.pkl", tiny(), auto, say=said.append).precision == "bfloat16"
    assert open_features(tmp_path / "f.pkl").description["precision"] == "bfloat16"
    assert extract(folder, tmp_path / "f.pkl", tiny(), auto, say=said.append).up_to_date
    assert not extract(folder, tmp_path / "f.pkl", tiny(), SMALL, say=said.append).up_to_date


def test_features_that_no_file_can_hold(folder, tmp_path, monkeypatch, quiet):
    encode = Encoder.encode
    monkeypatch.setattr(Encoder, "encode", lambda self, pictures: encode(self, pictures) * 1e4)
    with pytest.raises(DataError, match="'p00' go beyond float16; set dtype to float32"):
        extract(folder, tmp_path / "f.h5", tiny(), SMALL, say=quiet)
    monkeypatch.setattr(Encoder, "encode", lambda self, pictures: encode(self, pictures) * np.nan)
    with pytest.raises(DataError, match="'p00' are not finite; the encoder's weights are broken"):
        extract(folder, tmp_path / "g.h5", tiny(), SMALL, say=quiet)
    monkeypatch.setattr("captioner.vision.features.MAX_PICKLE_BYTES", 12 * 6 * 4 - 1)
    with pytest.raises(DataError, match=r"write f\.h5 instead"):
        extract(folder, tmp_path / "f.pkl", tiny(), SMALL, say=quiet)


def test_settings(tmp_path):
    assert build(ExtractionConfig, {"precision": "bfloat16"}).precision == "bfloat16"
    for settings in ({"batch_size": 0}, {"threads": 0}, {"dtype": "int8"}):
        with pytest.raises(ConfigError, match=next(iter(settings))):
            build(ExtractionConfig, settings)


def test_a_plain_line_now_and_then(folder, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(extraction, "SECONDS_BETWEEN_LINES", 0)
    extract(folder, tmp_path / "f.pkl", tiny(), SMALL, say=said.append)
    assert any(line.startswith("4 of 12 pictures, ") for line in said)


@pytest.mark.slow
def test_real_pictures_killed_and_resumed(tmp_path, quiet):
    weights = SHARED / "weights"
    pictures = sorted((SHARED / "data" / "coco-mini" / "train2017").glob("*.jpg"))[:24]
    if not pictures or not weights.is_dir():
        pytest.skip(f"{SHARED} is missing")
    (tmp_path / "images").mkdir()
    for path in pictures:
        (tmp_path / "images" / path.name).symlink_to(path)
    (tmp_path / "images" / "broken.jpg").write_bytes(pictures[0].read_bytes()[:5000])
    program = (
        "import sys; from captioner.vision.extraction import *; "
        "extract(sys.argv[1], sys.argv[2], EncoderConfig(), ExtractionConfig(batch_size=4))"
    )
    environment = {**os.environ, WEIGHTS_FOLDER: str(weights)}

    def start(name):
        command = [sys.executable, "-c", program, str(tmp_path / "images"), str(tmp_path / name)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    assert start("whole.h5").wait() == 0
    killed, partial = start("f.h5"), tmp_path / "f.h5.partial"
    while killed.poll() is None and (not partial.exists() or partial.stat().st_size < 10_000):
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert partial.exists()
    assert not (tmp_path / "f.h5").exists()
    assert start("f.h5").wait() == 0
    assert (tmp_path / "f.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert len(open_features(tmp_path / "f.h5")) == 24
