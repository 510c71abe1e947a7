import numpy as np
import pytest
from PIL import Image

from captioner.config import ConfigError
from captioner.encoders.config import EncoderConfig
from captioner.extraction.config import ExtractionConfig
from captioner.extraction.merging import merge_features
from captioner.features.store import open_features
from captioner.images import listing as pictures
from captioner.stages.extract import extract
from captioner.storage import DataError, read_manifest

SMALL = ExtractionConfig(batch_size=4, precision="float32")


def encoder(layer="pool"):
    return EncoderConfig("tiny", layer, "random")


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Nineteen pictures, two of them broken."""
    monkeypatch.setattr(pictures, "SHARD_STEP", 4)
    (tmp_path / "images").mkdir()
    for index in range(19):
        pixels = np.random.default_rng(index).integers(0, 256, (20, 30, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"p{index:02}.png")
    for name in ("p03", "p17"):
        (tmp_path / "images" / f"{name}.png").write_bytes(b"broken")
    return tmp_path / "images"


def make_shards(images, output, count, layer="pool"):
    return [
        extract(images, output, encoder(layer), SMALL, shard=(index, count)).output for index in range(1, count + 1)
    ]


@pytest.mark.parametrize("suffix", [".pkl", ".h5"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_shards_give_the_file_of_the_whole(images, tmp_path, suffix, count, said):
    whole, merged = tmp_path / f"whole{suffix}", tmp_path / f"f{suffix}"
    extract(images, whole, encoder(), SMALL)
    shards = make_shards(images, merged, count)
    assert [path.name for path in shards] == [f"f.shard-{index}-of-{count}{suffix}" for index in range(1, count + 1)]
    assert merge_features(shards[::-1], merged) == 17
    assert merged.read_bytes() == whole.read_bytes()
    assert {**read_manifest(merged), "file": None} == {**read_manifest(whole), "file": None}
    skipped = [path.with_name(path.name + ".skipped.csv").read_text() for path in (merged, whole)]
    assert skipped[0] == skipped[1]
    assert not list(tmp_path.glob("*.partial"))
    assert extract(images, merged, encoder(), SMALL).up_to_date
    assert merge_features(shards, merged) == 17
    assert said[-1] == f"{merged}: up to date (17 pictures)"


def test_a_shard_resumes_and_is_up_to_date_like_the_whole(images, tmp_path):
    make_shards(images, tmp_path / "f.h5", 3)
    again = extract(images, tmp_path / "f.h5", encoder(), SMALL, shard=(2, 3))
    assert again.up_to_date
    with pytest.raises(DataError, match="shard 1/20 of 19 pictures is empty; make fewer shards"):
        extract(images, tmp_path / "g.h5", encoder(), SMALL, shard=(1, 20))


@pytest.mark.slow
def test_what_cannot_be_merged(images, tmp_path):
    one, two, three = make_shards(images, tmp_path / "f.h5", 3)
    output = tmp_path / "merged.h5"
    with pytest.raises(DataError, match=r"shard 2 of 3 is missing; .*captioner extract --shard 2/3"):
        merge_features([one, three], output)
    with pytest.raises(DataError, match=r"shard 1 of 3, like .*f\.shard-1-of-3\.h5; name only one"):
        merge_features([one, one, two, three], output)
    other = make_shards(images, tmp_path / "g.h5", 3, "conv")[1]
    with pytest.raises(DataError, match=r"g\.shard-2-of-3\.h5: comes from another .*\(layer: pool against conv\)"):
        merge_features([one, other, three], output)
    (images / "new.png").write_bytes((images / "p00.png").read_bytes())
    later = extract(images, tmp_path / "h.h5", encoder(), SMALL, shard=(2, 3)).output
    with pytest.raises(DataError, match=r"h\.shard-2-of-3\.h5: not a shard of the same pictures as .*f\.shard-1"):
        merge_features([one, later, three], output)
    two.with_name(two.name + ".manifest.json").unlink()
    with pytest.raises(DataError, match=r"f\.shard-2-of-3\.h5: its manifest .* is missing"):
        merge_features([one, two, three], output)
    assert not output.exists()


def test_files_of_several_folders(images, tmp_path):
    (tmp_path / "more").mkdir()
    for name in ("p01", "q01"):
        (tmp_path / "more" / f"{name}.png").write_bytes((images / "p01.png").read_bytes())
    parts = [tmp_path / "one.pkl", tmp_path / "two.h5"]
    for folder, part in zip((images, tmp_path / "more"), parts, strict=True):
        extract(folder, part, encoder(), SMALL)
    with pytest.raises(DataError, match=r"one\.pkl and .*two\.h5 both have the picture 'p01'; leave one"):
        merge_features(parts, tmp_path / "all.h5")
    (tmp_path / "more" / "p01.png").unlink()
    extract(tmp_path / "more", parts[1], encoder(), SMALL)
    assert merge_features(parts, tmp_path / "all.h5") == 18
    merged, one = open_features(tmp_path / "all.h5"), open_features(parts[0])
    assert list(merged) == [*one, "q01"]
    np.testing.assert_array_equal(merged.gather(list(one)), one.gather(list(one)))
    np.testing.assert_allclose(merged["q01"], merged["p01"], rtol=1e-3)
    assert list(read_manifest(tmp_path / "all.h5")["skipped"]) == ["p03", "p17"]


def test_two_names_for_several_layers_and_a_shard(images, tmp_path):
    result = extract(images, tmp_path / "f.h5", encoder(), SMALL, layers=("pool", "conv"), shard=(1, 2))
    assert [path.name for path in result.outputs] == ["f.pool.shard-1-of-2.h5", "f.conv.shard-1-of-2.h5"]
    with pytest.raises(ConfigError, match="2 outputs for 1 layers"):
        extract(images, [tmp_path / "a.h5", tmp_path / "b.h5"], encoder(), SMALL, shard=(1, 2))
