import csv
from pathlib import Path

import numpy as np
import pytest

from captioner.features.store import open_features
from captioner.storage import digest_file, read_manifest

NETWORK = ["--encoder", "efficientnet_lite0", "--weights", "random"]


@pytest.mark.slow
def test_several_layers_go_into_a_file_each(call, trained):
    layers = ["--layer", "pool", "--layer", "block10_add"]
    result = call("extract", "images", *NETWORK, *layers, "-o", "f.h5")
    assert (result.code, result.out) == (0, "")
    lines = result.err.splitlines()
    assert lines[0].startswith("extracting efficientnet_lite0 pool, block10_add of 16 pictures on ")
    assert [line.split(":")[0] for line in lines[1:]] == ["f.pool.h5", "f.block10_add.h5"]
    assert open_features("f.pool.h5").shape == (1280,)
    assert open_features("f.block10_add.h5").shape == (196, 112)
    named = ["-o", "vectors.pkl", "-o", "regions.h5"]
    assert call("extract", "images", *NETWORK, *layers, *named).code == 0
    assert digest_file("regions.h5") == digest_file("f.block10_add.h5")
    assert list(open_features("vectors.pkl")) == list(open_features("regions.h5"))


@pytest.mark.slow
def test_shards_merge_into_the_whole(call, trained):
    shards = []
    for part in ("1/2", "2/2"):
        result = call("extract", "--shard", part, "-o", "f.pkl")
        assert result.code == 0 and "of 8 pictures" in result.err
        shards.append(result.err.splitlines()[-1].split(":")[0])
    assert shards == ["f.shard-1-of-2.pkl", "f.shard-2-of-2.pkl"]
    assert call("merge-features", *shards, "-o", "merged.pkl").err == "merged.pkl: 16 pictures from 2 files\n"
    whole, merged = open_features("features.pkl"), open_features("merged.pkl")
    assert list(merged) == list(whole)
    np.testing.assert_allclose(merged.gather(list(whole)), whole.gather(list(whole)), rtol=1e-3, atol=1e-4)
    assert read_manifest("merged.pkl")["inputs"] == read_manifest("features.pkl")["inputs"]


def test_shards_that_do_not_fit_are_refused(call, refused, trained):
    assert call("extract", "--shard", "1/2", "-o", "f.pkl").code == 0
    refused(
        1, ["shard 2 of 2 is missing", "extract --shard 2/2"], "merge-features", "f.shard-1-of-2.pkl", "-o", "g.pkl"
    )
    refused(1, ["other.pkl: no such file"], "merge-features", "other.pkl", "-o", "g.pkl")


def test_verify(call, refused, trained):
    result = call("extract", "--verify")
    assert (result.code, result.out) == (0, "")
    assert result.err.splitlines()[1:] == [
        "features.pkl: 16 pictures, complete and matching its manifest",
        "images: its pictures are all present and unchanged",
        "8 of them were encoded again: the features are the same",
    ]
    (trained / "images" / "p03.png").write_bytes((trained / "images" / "p05.png").read_bytes())
    result = call("extract", "images", "--verify", "-o", "features.pkl")
    assert (result.code, result.out) == (1, "")
    assert "features.pkl: changed since: 1 (first: p03); to update it, run captioner extract" in result.err
    refused(1, ["none.pkl: no such file"], "extract", "images", "--verify", "-o", "none.pkl")


def test_broken_pictures_are_named_and_strict_fails(call, trained):
    (trained / "images" / "p07.png").write_bytes(b"broken")
    (trained / "images" / "p08.jpg").touch()
    (trained / "images" / "p08.png").unlink()
    result = call("extract", "images", *NETWORK, "-o", "f.pkl")
    assert (result.code, result.out) == (0, "")
    assert "skipped pictures: 2, see f.pkl.skipped.csv (first: images/p07.png: not a picture" in result.err
    with Path("f.pkl.skipped.csv").open() as file:
        rows = {row["image_id"]: row["reason"] for row in csv.DictReader(file)}
    assert list(rows) == ["p07", "p08"]
    assert rows["p08"].startswith("images/p08.jpg: empty")
    result = call("extract", "images", *NETWORK, "-o", "f.pkl", "--strict")
    assert (result.code, result.out) == (1, "")
    assert "f.pkl: 2 pictures are missing, see f.pkl.skipped.csv" in result.err


def test_the_encoders_are_listed(call):
    result = call("encoders")
    assert result.code == 0
    rows = {line.split()[0]: line for line in result.out.splitlines()}
    assert "331 x 331" in rows["nasnet_large"] and "11 x 11 x 4032" in rows["nasnet_large"]
    assert "299 x 299" in rows["inception_v3"] and "8 x 8 x 2048" in rows["inception_v3"]
    assert "14,714,688" in rows["vgg16"] and rows["efficientnet_lite0"].endswith(("here", "'captioner[lite]'"))
    assert "hub:clip_vit_base_patch32" in rows
    layers = call("encoders", "EfficientNetLite0")
    assert layers.code == 0 and "block10_add" in layers.out
