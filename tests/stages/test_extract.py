import csv
import os
import zlib
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from captioner import progress
from captioner.config import ConfigError, build
from captioner.encoders.config import EncoderConfig
from captioner.encoders.encoder import Encoder, build_encoder
from captioner.extraction import run as extraction_run
from captioner.extraction.config import ExtractionConfig
from captioner.extraction.partial import PartialFeatures
from captioner.extraction.probe import Chosen
from captioner.features.store import open_features
from captioner.images.decode import load_image
from captioner.stages.extract import extract
from captioner.stages.freshness import is_extracted
from captioner.storage import DataError, read_manifest

SHARED = Path(__file__).parents[2].parent / "shared"
SMALL = ExtractionConfig(batch_size=4, precision="float32")


def tiny(layer="pool"):
    return EncoderConfig("tiny", layer, "random")


def paint(path, seed):
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)).save(path)


def counting(monkeypatch, stop_after=None):
    """Record how many pictures go through the network at a time; interrupt it after some batches."""
    encode, calls = Encoder.encode_layers, []

    def counted(self, pictures, at_least=0):
        if len(calls) == stop_after:
            raise KeyboardInterrupt
        calls.append(len(pictures))
        return encode(self, pictures, at_least)

    monkeypatch.setattr(Encoder, "encode_layers", counted)
    return calls


@pytest.fixture
def folder(tmp_path):
    """Eleven pictures and a broken one, p05."""
    (tmp_path / "images").mkdir()
    for index in range(12):
        paint(tmp_path / "images" / f"p{index:02}.png", index)
    (tmp_path / "images" / "p05.png").write_bytes(b"broken")
    return tmp_path / "images"


@pytest.mark.parametrize("suffix", [".pkl", ".h5"])
def test_every_picture_gets_its_own_features(folder, tmp_path, suffix, said):
    output = tmp_path / f"f{suffix}"
    result = extract(folder, output, tiny(), SMALL)
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


def test_a_broken_picture_is_named(folder, tmp_path):
    extract(folder, tmp_path / "f.pkl", tiny(), SMALL)
    with (tmp_path / "f.pkl.skipped.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["image_id"] == "p05"
    assert "p05.png: not a picture" in row["reason"]
    assert list(read_manifest(tmp_path / "f.pkl")["skipped"]) == ["p05"]
    (folder / "p05.png").unlink()
    extract(folder, tmp_path / "f.pkl", tiny(), SMALL)
    assert not (tmp_path / "f.pkl.skipped.csv").exists()


@pytest.mark.parametrize("count, sizes", [(1, {1}), (9, {4})])
def test_the_network_is_compiled_for_one_size_of_batch(tmp_path, monkeypatch, count, sizes):
    (tmp_path / "images").mkdir()
    for index in range(count):
        paint(tmp_path / "images" / f"p{index:02}.png", index)
    seen = set()
    predict = keras.Model.predict_on_batch

    def watched(self, batch):
        seen.add(len(batch))
        return predict(self, batch)

    monkeypatch.setattr(keras.Model, "predict_on_batch", watched)
    extract(tmp_path / "images", tmp_path / "f.h5", tiny(), SMALL)
    assert seen == sizes


def test_strict_makes_no_output_but_names_every_broken_picture_and_keeps_the_work(folder, tmp_path, monkeypatch):
    (folder / "p07.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"2 of 12 pictures cannot be read, see .*p05\.png: not a picture"):
        extract(folder, tmp_path / "f.pkl", tiny(), SMALL, strict=True)
    assert not (tmp_path / "f.pkl").exists()
    with (tmp_path / "f.pkl.skipped.csv").open() as file:
        assert [row["image_id"] for row in csv.DictReader(file)] == ["p05", "p07"]
    calls = counting(monkeypatch)
    paint(folder / "p05.png", 5)
    (folder / "p07.png").unlink()
    assert extract(folder, tmp_path / "f.pkl", tiny(), SMALL, strict=True).pictures == 11
    assert calls == [1], "only the mended picture"
    assert not (tmp_path / "f.pkl.skipped.csv").exists()


def test_strict_is_not_content_with_what_is_up_to_date_but_lacks_a_picture(folder, tmp_path):
    extract(folder, tmp_path / "f.pkl", tiny(), SMALL)
    with pytest.raises(DataError, match=r"f\.pkl: 1 pictures are missing, see f\.pkl\.skipped\.csv; .*p05\.png: not"):
        extract(folder, tmp_path / "f.pkl", tiny(), SMALL, strict=True)


def test_pictures_that_are_all_broken(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").touch()
    with pytest.raises(DataError, match=r"none of its 1 pictures can be read \(first: .*a\.jpg: empty"):
        extract(tmp_path / "images", tmp_path / "f.pkl", tiny(), SMALL)


def without_stamps(manifest):
    return {key: value for key, value in manifest.items() if key != "file"}  # that has the file's time


@pytest.mark.parametrize("suffix", [".pkl", ".h5"])
@pytest.mark.parametrize("batches", [0, 1, 2])
def test_a_stopped_extraction_goes_on_to_the_same_bytes(folder, tmp_path, monkeypatch, suffix, batches):
    whole, output = tmp_path / f"whole{suffix}", tmp_path / f"f{suffix}"
    extract(folder, whole, tiny(), SMALL)
    with monkeypatch.context() as patch:
        counting(patch, stop_after=batches)
        with pytest.raises(KeyboardInterrupt):
            extract(folder, output, tiny(), SMALL)
    assert not output.exists()
    with monkeypatch.context() as patch:
        calls = counting(patch)
        extract(folder, output, tiny(), SMALL)
    assert len(calls) == 3 - batches
    assert output.read_bytes() == whole.read_bytes()
    assert without_stamps(read_manifest(output)) == without_stamps(read_manifest(whole))
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("moment", ["captioner.features.store._stamp", "captioner.features.store.settle_manifest"])
def test_killed_while_the_file_is_replaced_the_old_features_or_the_new_ones_are_there(
    folder, tmp_path, monkeypatch, moment
):
    def killed(*arguments):
        raise KeyboardInterrupt

    output = tmp_path / "f.pkl"
    extract(folder, output, tiny(), SMALL)
    paint(folder / "new.png", 100)
    with monkeypatch.context() as patch:
        write = extraction_run.write_target

        def write_until(*arguments, **settings):
            patch.setattr(moment, killed)
            return write(*arguments, **settings)

        patch.setattr(extraction_run, "write_target", write_until)
        with pytest.raises(KeyboardInterrupt):
            extract(folder, output, tiny(), SMALL)
    calls = counting(monkeypatch)
    assert extract(folder, output, tiny(), SMALL).pictures == 12
    assert not calls
    assert len(open_features(output)) == 12
    assert open_features(output).description is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("f.pkl", "f.pkl.manifest.json", "f.pkl.skipped.csv", "images")
    ]


@pytest.mark.parametrize("suffix", [".pkl", ".h5"])
def test_only_what_is_new_or_changed_is_encoded(folder, tmp_path, monkeypatch, suffix, said):
    output, fresh = tmp_path / f"f{suffix}", tmp_path / f"fresh{suffix}"
    extract(folder, output, tiny(), SMALL)
    paint(folder / "a.png", 100)
    paint(folder / "q.png", 101)
    (folder / "p03.png").unlink()
    Image.new("RGB", (31, 20)).save(folder / "p04.png")
    calls = counting(monkeypatch)
    said.clear()
    result = extract(folder, output, tiny(), SMALL)
    assert (result.pictures, result.encoded, calls) == (12, 4, [4]), "two new, one changed, the broken one once more"
    assert said[0].startswith("extracting tiny pool of 13 pictures on ")
    assert said[0].endswith(" in float32, 9 are already extracted")
    extract(folder, fresh, tiny(), SMALL)
    store, other = open_features(output), open_features(fresh)
    assert list(store) == list(other)
    np.testing.assert_allclose(store.gather(list(store)), other.gather(list(other)), rtol=1e-3)
    np.testing.assert_array_equal(store.sources(), other.sources())
    assert read_manifest(output)["inputs"] == read_manifest(fresh)["inputs"]
    (folder / "a.png").unlink()
    assert extract(folder, output, tiny(), SMALL).encoded == 1, "no more than the broken one"
    assert "a" not in open_features(output)


def test_pictures_that_come_go_or_change_while_it_is_stopped(folder, tmp_path, monkeypatch, said):
    with monkeypatch.context() as patch:
        counting(patch, stop_after=2)
        with pytest.raises(KeyboardInterrupt):
            extract(folder, tmp_path / "f.h5", tiny(), SMALL)
    paint(folder / "p00.png", 100)
    (folder / "p01.png").unlink()
    paint(folder / "b.png", 101)
    with monkeypatch.context() as patch:
        calls = counting(patch)
        extract(folder, tmp_path / "f.h5", tiny(), SMALL)
    assert sum(calls) == 6, "b, p00 and the four that were left"
    assert "1 picture changed since extraction (first: p00); encoding them again" in said
    encoder, store = build_encoder(tiny()), open_features(tmp_path / "f.h5")
    assert list(store) == ["b", "p00", *(f"p{index:02}" for index in range(2, 12) if index != 5)]
    for name in store:
        expected = encoder.encode(encoder.prepare(load_image(folder / f"{name}.png"))[None])[0]
        np.testing.assert_allclose(store[name], expected, rtol=1e-3)


def test_pictures_that_change_or_vanish_during_the_run_are_reported(folder, tmp_path, monkeypatch, said):
    encode, met = Encoder.encode_layers, []

    def meanwhile(self, pictures, at_least=0):
        if not met:
            met.append("first batch")
            paint(folder / "p01.png", 100)  # of the first batch, after it was read
            (folder / "p02.png").unlink()
        return encode(self, pictures, at_least)

    monkeypatch.setattr("captioner.extraction.loader.BATCHES_AHEAD", 0)
    monkeypatch.setattr("captioner.extraction.loader.PICTURES_A_TASK", 100)
    monkeypatch.setattr(Encoder, "encode_layers", meanwhile)
    listed = extraction_run.ExtractionRun._prepare

    def before(self, reused):
        paint(folder / "p00.png", 101)  # after it was listed
        (folder / "p11.png").unlink()
        return listed(self, reused)

    with monkeypatch.context() as patch:
        patch.setattr(extraction_run.ExtractionRun, "_prepare", before)
        config = ExtractionConfig(batch_size=4, precision="float32", threads=1)
        result = extract(folder, tmp_path / "f.h5", tiny(), config)
    manifest = read_manifest(tmp_path / "f.h5")
    assert {name: note.split(";")[0] for name, note in manifest["changed"].items()} == {
        "p00": "changed before it was read",
        "p01": "changed after it was read",
        "p02": "vanished after it was read",
    }
    assert "p11.png: no such file; check the path, or whether the file was removed" in result.skipped["p11"]
    assert any(
        line.startswith("pictures that changed or vanished during the extraction: 3 (first: p00") for line in said
    )
    again = extract(folder, tmp_path / "f.h5", tiny(), SMALL)
    assert (again.up_to_date, again.encoded, again.pictures) == (False, 2, 9), "p01, and the broken one"
    assert extract(folder, tmp_path / "f.h5", tiny(), SMALL).up_to_date


def test_a_second_writer_is_refused_and_the_first_one_is_not_disturbed(folder, tmp_path):
    first = PartialFeatures(tmp_path / "f.h5.partial")
    with pytest.raises(DataError, match=r"f\.h5\.partial: another process is writing it; wait for it, or name another"):
        extract(folder, tmp_path / "f.h5", tiny(), SMALL)
    first.close(remove=True)
    assert extract(folder, tmp_path / "f.h5", tiny(), SMALL).pictures == 11


def test_several_layers_come_from_one_pass(folder, tmp_path, monkeypatch, said):
    calls = counting(monkeypatch)
    layers = ("pool", "grid", "fc")
    result = extract(folder, tmp_path / "f.h5", tiny(), SMALL, layers=layers)
    assert len(calls) == 3
    assert [path.name for path in result.outputs] == ["f.pool.h5", "f.grid.h5", "f.fc.h5"]
    for layer, path in zip(layers, result.outputs, strict=True):
        alone = extract(folder, tmp_path / "alone.h5", tiny(layer), SMALL, overwrite=True).output
        assert path.read_bytes() == alone.read_bytes()
        assert open_features(path).description == open_features(alone).description
    del calls[:]
    (tmp_path / "f.grid.h5").unlink()
    result = extract(folder, tmp_path / "f.h5", tiny(), SMALL, layers=layers)
    assert (len(calls), [path.name for path in result.outputs]) == (3, ["f.grid.h5"])
    assert sum("up to date (11 pictures, 1 skipped)" in line for line in said) == 2
    named = [tmp_path / "vectors.pkl", tmp_path / "regions.h5"]
    extract(folder, named, tiny(), SMALL, layers=layers[:2])
    assert [open_features(path).shape for path in named] == [(6,), (24, 6)]
    with pytest.raises(ConfigError, match="2 outputs for 3 layers; name one output, or one for each"):
        extract(folder, named, tiny(), SMALL, layers=layers)
    with pytest.raises(ConfigError, match="two layers cannot go into one file"):
        extract(folder, named[:1] * 2, tiny(), SMALL, layers=layers[:2])


def test_a_kill_between_two_outputs_loses_nothing(folder, tmp_path, monkeypatch):
    write = extraction_run.write_target

    def killed(target, *arguments, **settings):
        if "grid" in target.path.name:
            raise KeyboardInterrupt
        return write(target, *arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(extraction_run, "write_target", killed)
        with pytest.raises(KeyboardInterrupt):
            extract(folder, tmp_path / "f.h5", tiny(), SMALL, layers=("pool", "grid"))
    assert (tmp_path / "f.pool.h5.manifest.json").exists()
    calls = counting(monkeypatch)
    extract(folder, tmp_path / "f.h5", tiny(), SMALL, layers=("pool", "grid"))
    assert not calls
    assert len(open_features(tmp_path / "f.grid.h5")) == 11


def test_what_is_up_to_date_is_left_alone(folder, tmp_path):
    output = tmp_path / "f.h5"
    first = extract(folder, output, tiny(), SMALL)
    before = output.stat().st_mtime_ns
    again = extract(folder, output, tiny(), SMALL, overwrite=True)
    assert again.up_to_date
    assert (again.pictures, again.skipped) == (first.pictures, first.skipped)
    assert output.stat().st_mtime_ns == before
    Image.new("RGB", (8, 8)).save(folder / "new.png")
    changed = extract(folder, output, tiny(), SMALL)
    assert (changed.up_to_date, changed.pictures, changed.encoded) == (False, 12, 2)
    assert not extract(folder, output, tiny(), ExtractionConfig(dtype="float32")).up_to_date


@pytest.mark.parametrize("change", [{"view": "flip"}, {"input_size": 32}, {"resizing": "crop"}])
def test_features_of_another_view_or_size_are_not_up_to_date(folder, tmp_path, change):
    extract(folder, tmp_path / "f.h5", tiny(), SMALL)
    assert is_extracted(folder, tmp_path / "f.h5", tiny(), SMALL)
    other = replace(tiny(), **change)
    assert not is_extracted(folder, tmp_path / "f.h5", other, SMALL)
    assert not extract(folder, tmp_path / "f.h5", other, SMALL, overwrite=True).up_to_date
    assert is_extracted(folder, tmp_path / "f.h5", other, SMALL)


def test_an_output_of_another_encoder_or_of_nobody_is_refused(folder, tmp_path):
    output = tmp_path / "f.pkl"
    extract(folder, output, tiny(), SMALL)
    grid = tiny("grid")
    with pytest.raises(DataError, match=r"comes from another encoder \(layer: pool against conv\)"):
        extract(folder, output, grid, SMALL)
    assert extract(folder, output, grid, SMALL, overwrite=True).pictures == 11
    assert open_features(output).shape == (24, 6)
    output.write_bytes(b"mine")
    with pytest.raises(DataError, match="does not match"):
        extract(folder, output, grid, SMALL)
    (tmp_path / "f.pkl.manifest.json").unlink()
    with pytest.raises(DataError, match="has no manifest"):
        extract(folder, output, grid, SMALL)
    assert output.read_bytes() == b"mine"


def test_a_partial_file_of_other_settings_is_begun_anew_aloud(folder, tmp_path, said):
    (tmp_path / "f.pkl.partial").write_text('{"partial": 1, "precision": "float32"}\n')
    assert extract(folder, tmp_path / "f.pkl", tiny(), SMALL).pictures == 11
    assert said[0] == "f.pkl.partial was made by another encoder or with other settings; starting again"


def test_what_the_probe_chose_is_said_kept_and_reused(folder, tmp_path, monkeypatch, said):
    auto = ExtractionConfig()
    few = extract(folder, tmp_path / "few.pkl", tiny(), auto)
    assert few.precision == "float32", "not worth a probe"
    assert read_manifest(tmp_path / "few.pkl")["chosen"] == {"precision": "float32", "batch_size": 16}
    chosen = Chosen("bfloat16", 3, {"float32": 7.0, "bfloat16": 14.1}, 0.99995, {"8": 14.1, "3": 15.0})
    monkeypatch.setattr(extraction_run, "PROBE_PAYS_FROM", 12)

    def probe(wide, *arguments, **settings):
        return wide.in_precision("bfloat16"), chosen

    with monkeypatch.context() as patch:
        patch.setattr(extraction_run, "choose", probe)
        counting(patch, stop_after=2)
        with pytest.raises(KeyboardInterrupt):
            extract(folder, tmp_path / "f.pkl", tiny(), auto)
    assert said[-2] == (
        "probe, in pictures per second: float32 7.0, bfloat16 14.1 (cosine 0.99995): bfloat16; 14.1 with 8, "
        "15.0 with 3: batches of 3"
    )
    monkeypatch.setattr(extraction_run, "choose", None)  # it must not be asked again
    calls = counting(monkeypatch)
    assert extract(folder, tmp_path / "f.pkl", tiny(), auto).precision == "bfloat16"
    assert calls == [3, 3]
    assert read_manifest(tmp_path / "f.pkl")["chosen"] == chosen.to_json()
    assert open_features(tmp_path / "f.pkl").description["precision"] == "bfloat16"
    assert extract(folder, tmp_path / "f.pkl", tiny(), auto).up_to_date
    paint(folder / "new.png", 100)
    assert extract(folder, tmp_path / "f.pkl", tiny(), auto).precision == "bfloat16", "as the others"
    assert not extract(folder, tmp_path / "f.pkl", tiny(), SMALL).up_to_date


def test_features_that_no_file_can_hold(folder, tmp_path, monkeypatch):
    encode = Encoder.encode_layers
    for factor, fault in (
        (1e4, "'p00' are too large for float16; set dtype to float32"),
        (np.nan, "'p00' are not finite; the"),
    ):
        with monkeypatch.context() as patch, pytest.raises(DataError, match=fault):
            patch.setattr(Encoder, "encode_layers", lambda *a, factor=factor: [encode(*a)[0] * factor])
            extract(folder, tmp_path / "f.h5", tiny(), SMALL)
    monkeypatch.setattr("captioner.features.store.MAX_PICKLE_BYTES", 12 * 6 * 4 - 1)
    with pytest.raises(DataError, match=r"write f\.h5 instead"):
        extract(folder, tmp_path / "f.pkl", tiny(), SMALL)


def test_a_device_that_is_too_small_says_what_to_do(folder, tmp_path, monkeypatch):
    def full(*arguments):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 99 bytes")

    monkeypatch.setattr(Encoder, "encode_layers", full)
    with pytest.raises(DataError, match=r"batches of 4 do not fit into .*; set extraction\.batch_size to a smaller"):
        extract(folder, tmp_path / "f.h5", tiny(), SMALL)


def test_pictures_beyond_the_limit_of_pixels(folder, tmp_path):
    config = ExtractionConfig(max_pixels=599)
    Image.new("RGB", (8, 8)).save(folder / "small.png")
    result = extract(folder, tmp_path / "f.pkl", tiny(), config)
    assert list(open_features(tmp_path / "f.pkl")) == ["small"]
    assert "claims 30 x 20 pixels, more than 599" in result.skipped["p00"]


def test_settings(tmp_path):
    assert build(ExtractionConfig, {"precision": "bfloat16"}).precision == "bfloat16"
    assert build(ExtractionConfig, {"batch_size": 8, "threads": "auto"}).batch_size == 8
    assert build(ExtractionConfig, {"engine": "ray", "address": "auto"}).address == "auto"
    for settings in ({"batch_size": 0}, {"threads": 0}, {"dtype": "int8"}, {"max_pixels": 0}, {"address": "auto"}):
        with pytest.raises(ConfigError, match=next(iter(settings))):
            build(ExtractionConfig, settings)


def test_a_plain_line_now_and_then(folder, tmp_path, monkeypatch, said):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
    extract(folder, tmp_path / "f.pkl", tiny(), SMALL)
    assert any(line.startswith("extracting: 4 of 12 pictures") for line in said)


def test_five_in_a_hundred_broken_in_five_ways(tmp_path):
    (tmp_path / "images").mkdir()
    for index in range(100):
        paint(tmp_path / "images" / f"p{index:02}.png", index)
    whole = (tmp_path / "images" / "p00.png").read_bytes()
    bomb = bytearray(whole)
    bomb[16:24] = (20_000).to_bytes(4, "big") * 2  # the header's width and height
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    broken = {"p11": b"", "p29": whole[: len(whole) // 2], "p50": b"<html>", "p77": bytes(bomb), "p99": whole[:20]}
    for name, data in broken.items():
        (tmp_path / "images" / f"{name}.png").write_bytes(data)
    result = extract(tmp_path / "images", tmp_path / "f.h5", tiny(), SMALL)
    assert (result.pictures, list(result.skipped)) == (95, list(broken))
    with (tmp_path / "f.h5.skipped.csv").open() as file:
        reasons = {row["image_id"]: row["reason"] for row in csv.DictReader(file)}
    faults = ("empty", "truncated", "not a picture", "claims far too many pixels", "")
    for name, fault in zip(broken, faults, strict=True):
        assert f"{name}.png: " in reasons[name] and fault in reasons[name]


def repaint(path, seed):
    """Replace a picture by another of the same number of bytes."""
    before = path.stat().st_size
    paint(path, seed)
    assert path.stat().st_size == before


@pytest.mark.parametrize("suffix", [".pkl", ".h5"])
def test_a_picture_that_is_replaced_by_one_of_its_size_is_encoded_again(tmp_path, suffix):
    images, output = tmp_path / "images", tmp_path / f"f{suffix}"
    images.mkdir()
    for index in range(3):
        paint(images / f"p{index}.bmp", index)
    extract(images, output, tiny(), SMALL)
    before = {name: open_features(output)[name].copy() for name in ("p0", "p1")}
    repaint(images / "p1.bmp", seed=9)
    assert not is_extracted(images, output, tiny(), SMALL)
    again = extract(images, output, tiny(), SMALL)
    assert (again.pictures, again.encoded) == (3, 1)
    features = open_features(output)
    assert np.array_equal(features["p0"], before["p0"]) and not np.allclose(features["p1"], before["p1"])
    assert is_extracted(images, output, tiny(), SMALL)


def test_pictures_that_are_only_newer_are_not_encoded_again(folder, tmp_path):
    extract(folder, tmp_path / "f.h5", tiny(), SMALL)
    for path in folder.iterdir():
        path.touch()
    assert is_extracted(folder, tmp_path / "f.h5", tiny(), SMALL)
    assert extract(folder, tmp_path / "f.h5", tiny(), SMALL).up_to_date


def test_a_skipped_picture_that_can_be_read_now_is_added(folder, tmp_path):
    output, broken = tmp_path / "f.h5", folder / "p05.png"
    paint(broken, 5)
    whole = broken.read_bytes()
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 1
    broken.write_bytes(damaged)
    assert extract(folder, output, tiny(), SMALL).pictures == 11
    assert is_extracted(folder, output, tiny(), SMALL)
    broken.write_bytes(whole)
    os.utime(broken, (0, 0))  # as from an archive
    assert not is_extracted(folder, output, tiny(), SMALL)
    again = extract(folder, output, tiny(), SMALL)
    assert (again.pictures, again.encoded, again.skipped) == (12, 1, {})


def test_another_limit_of_pixels_lets_a_skipped_picture_in(folder, tmp_path):
    (folder / "p05.png").unlink()
    Image.new("RGB", (50, 40)).save(folder / "large.png")
    narrow = replace(SMALL, max_pixels=1000)
    assert extract(folder, tmp_path / "f.h5", tiny(), narrow).pictures == 11
    assert extract(folder, tmp_path / "f.h5", tiny(), narrow).up_to_date
    assert extract(folder, tmp_path / "f.h5", tiny(), SMALL).pictures == 12
