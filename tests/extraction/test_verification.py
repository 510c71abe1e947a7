import numpy as np
import pytest
from PIL import Image

from captioner.encoders.config import EncoderConfig
from captioner.extraction.config import ExtractionConfig
from captioner.extraction.verification import verify
from captioner.features.store import write_features
from captioner.stages.extract import extract
from captioner.storage import DataError, digest_file, read_manifest, write_json
from tests.messages import listening

SMALL = ExtractionConfig(batch_size=4, precision="float32")


@pytest.fixture(params=[".pkl", ".h5"])
def output(tmp_path, request):
    """The features of eleven pictures and a broken one."""
    (tmp_path / "images").mkdir()
    for index in range(12):
        pixels = np.random.default_rng(index).integers(0, 256, (20, 30, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"p{index:02}.png")
    (tmp_path / "images" / "p05.png").write_bytes(b"broken")
    path = tmp_path / f"f{request.param}"
    extract(tmp_path / "images", path, EncoderConfig("tiny", "pool", "random"), SMALL)
    return path


def check(output, *, folder="images"):
    lines = []
    with listening(lines.append):
        verify(output, output.with_name(folder) if folder else None)
    return lines


def test_a_file_as_it_should_be(output):
    assert check(output) == [
        f"{output}: 11 pictures, complete and matching its manifest",
        f"{output.parent / 'images'}: its pictures are all present and unchanged, 1 of them skipped",
        "8 of them were encoded again: the features are the same",
    ]
    assert len(check(output, folder=None)) == 1


def test_a_byte_that_has_changed(output):
    data = bytearray(output.read_bytes())
    data[len(data) // 2] ^= 1
    output.write_bytes(data)
    with pytest.raises(DataError, match=r"its digest is \w{12}, but its manifest has \w{12}; extract the features"):
        check(output, folder=None)


def test_pictures_that_came_went_or_changed(output):
    images = output.with_name("images")
    (images / "p03.png").rename(images / "new.png")
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(images / "p07.png")
    with pytest.raises(DataError) as refused:
        check(output)
    assert str(refused.value) == (
        f"{output}: without features: 1 (first: new); no longer in the folder: 1 (first: p03); "
        f"changed since: 1 (first: p07); to update it, run captioner extract -o {output}"
    )


def test_features_that_the_encoder_does_not_make(output):
    images, manifest = output.with_name("images"), read_manifest(output)
    rows = {f"p{index:02}": np.float32([1, 2, 3, 4, 5, index]) for index in range(12) if index != 5}
    write_features(output, rows, manifest["encoder"], "float16", skipped=manifest["skipped"])
    with pytest.raises(DataError, match=r"tiny gives other features for 'p00' \(cosine 0\.\d+\)"):
        verify(output, images)


def test_a_file_of_nobody_or_none(output):
    output.with_name(f"{output.name}.manifest.json").unlink()
    with pytest.raises(DataError, match=r"its manifest .* is missing"):
        check(output)
    output.unlink()
    with pytest.raises(DataError, match="no such file; to make it, run `captioner extract IMAGES"):
        check(output)


def test_a_file_of_an_earlier_captioner_has_no_digests_of_its_pictures(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (30, 20), "teal").save(tmp_path / "images" / "a.png")
    path = tmp_path / "f.pkl"
    extract(tmp_path / "images", path, EncoderConfig("tiny", "pool", "random"), SMALL)
    manifest = read_manifest(path)
    kept = ("manifest", "stage", "encoder", "pictures", "shape", "dtype", "inputs", "skipped")
    write_json(
        path.with_name("f.pkl.manifest.json"), {**{key: manifest[key] for key in kept}, "digest": digest_file(path)}
    )
    assert check(path)[1].endswith("all present; their digests were not recorded")
