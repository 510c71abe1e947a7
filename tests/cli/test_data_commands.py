"""clean, split and download from the command line, and runs that stand on what they make."""

import hashlib
import io
import json
import zipfile

import h5py
import numpy as np
import pytest

from captioner.captioner import load
from captioner.data.download import catalog as download_module
from captioner.data.download.catalog import Archive, DataSet
from captioner.data.readers.detect import READERS
from captioner.features.store import open_features
from captioner.storage import read_manifest
from captioner.text.vocabulary import Vocabulary
from tests.cli.conftest import assert_one_line
from tests.data.server import serve


def test_the_forms_are_listed(call):
    result = call("clean", "--format", "list")
    assert result.code == 0 and result.err == ""
    assert [line.split()[0] for line in result.out.splitlines()] == list(READERS)


def test_a_recipes_captions_are_cleaned_once(call, untrained):
    first, second = call("clean"), call("clean")  # of captioner.yaml in the folder
    assert "distinct words" in first.err and "up to date" in second.err and "distinct words" not in second.err
    assert "distinct words" in call("clean", "--rules", "classic").err


def test_statistics_of_a_recipes_captions(call, untrained):
    pytest.importorskip("matplotlib")
    result = call("clean", "--stats", "--plot", "stats.png", "--set", "data.splits.test=gone.txt")
    assert result.code == 0
    assert result.out.splitlines()[1].split()[:3] == ["train", "12", "24"]
    assert "words seen in train at least" in result.out and "unknown in dev, %" in result.out
    said = result.err.splitlines()
    assert said[-2:] == ["note: split test is left out: gone.txt does not exist", "stats.png: drawn"]
    assert (untrained / "stats.png").read_bytes().startswith(b"\x89PNG")


def test_statistics_without_a_recipe_write_no_lists(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.csv").write_text("image,caption\na.jpg,A dog runs .\n")
    result = call("clean", "one.csv", "--stats")
    assert result.code == 0 and "words seen in all captions" in result.out
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "descriptions.txt",
        "descriptions.txt.manifest.json",
        "one.csv",
    ]


def test_several_files_and_a_folder_are_one_set(call, untrained):
    for part, number in (("train2014", 1), ("val2014", 2)):
        (untrained / "annotations").mkdir(exist_ok=True)
        content = {"annotations": [{"image_id": number, "caption": "A dog ."}]}
        (untrained / "annotations" / f"captions_{part}.json").write_text(json.dumps(content))
    files = sorted((untrained / "annotations").iterdir())
    assert call("clean", *files, "-o", "both.txt").code == 0
    assert call("clean", "annotations", "-o", "folder.txt", "--stats").out.splitlines()[2].startswith("dev")
    assert (untrained / "both.txt").read_text() == (untrained / "folder.txt").read_text() == "1 a dog\n2 a dog\n"


def test_cs231ns_features_are_written_beside(call, untrained):
    with h5py.File("coco2014_captions.h5", "w") as file:
        file["train_captions"], file["train_image_idxs"] = np.array([[1, 3, 2]]), np.array([0])
        file["train_features"] = np.ones((1, 4), "f")
    (untrained / "coco2014_vocab.json").write_text(json.dumps({"idx_to_word": ["<NULL>", "<START>", "<END>", "dog"]}))
    result = call("clean", "coco2014_captions.h5", "--features", "cs231n.h5")
    assert result.code == 0 and "cs231n.h5: wrote the features of coco2014_captions.h5" in result.err
    assert open_features("cs231n.h5").gather(["train/0"]).tolist() == [[1, 1, 1, 1]]
    result = call("clean", "captions.txt", "--features", "other.h5")
    assert result.code == 1
    assert_one_line(result.err.splitlines(keepends=True)[-1], "captions.txt: has no features")


def test_split_writes_lists_that_a_recipe_can_name(call, untrained):
    result = call("split", "captions.txt", "--shares", "train=0.75,dev=0.25", "-o", "lists")
    assert result.code == 0 and result.err == "lists/train.txt: 12 pictures\nlists/dev.txt: 4 pictures\n"
    assert call("split", "captions.txt", "--shares", "train=0.75,dev=0.25", "-o", "again", "--seed", "0").code == 0
    assert (untrained / "lists/train.txt").read_text() == (untrained / "again/train.txt").read_text()
    result = call("split", "-c", "captioner.yaml", "--set", "data.splits={train: 0.5, dev: 0.5}", "--seed", "3")
    assert result.code == 0 and read_manifest(untrained / "splits")["seed"] == 3
    # the project draws every picture twice
    assert len(read_manifest(untrained / "splits")["near_duplicates"]) > 0
    lists = ["--set", "data.splits={train: splits/train.txt, dev: splits/dev.txt}"]
    checked = call("split", "--check", *lists)
    assert checked.code == 0 and checked.out.startswith("no picture is in two splits, not even under two names; 1")


def test_a_leak_by_content_is_an_error_that_names_it(refused, untrained):
    words = ["images: ", "in two splits under two names (first: p0", "in train", "in dev)", "remove one of them"]
    refused(1, words, "split", "--check", "-c", "captioner.yaml")


@pytest.mark.slow
def test_shares_in_a_recipe_run_from_end_to_end(call, untrained):
    # the drawn pictures look alike, so that nothing could be divided otherwise
    settings = ["--set", "data.splits={train: 0.75, dev: 0.25}", "--set", "data.near_duplicates=false"]
    result = call("run", *settings, "-o", "runs/shares")
    assert result.code == 0 and result.err.count("splits/captions-") == 2
    again = call("run", *settings, "-o", "runs/shares")
    assert again.code == 0 and again.out == result.out and "splits/" not in again.err
    assert again.err.count("up to date") == 3
    manifest = read_manifest(untrained / "runs/shares")
    (lists,) = (untrained / "splits").iterdir()
    assert set(manifest["splits"]) == {"train", "dev"}
    (lists / "dev.txt").write_text((lists / "train.txt").read_text().splitlines()[0] + "\n")
    leaking = call("run", *settings, "-o", "runs/shares")
    assert leaking.code == 1 and "the content of the dev list" in leaking.err.splitlines()[-1]
    wrong = call("run", *settings, "--set", "evaluation.split=test")
    assert wrong.code == 2 and "'test' is not in data.splits (known: train, dev)" in wrong.err


@pytest.mark.slow
def test_splits_that_the_captions_carry_run_from_end_to_end(call, untrained):
    rows = [
        f"images/p{index:02}.png,A {('red', 'green')[index % 2]} thing .,{'train' if index < 12 else 'val'}"
        for index in range(16)
    ]
    (untrained / "captions.csv").write_text("\n".join(["image,caption,split", *rows]))
    settings = ["data.captions=captions.csv", "data.splits={}", "data.images=.", "features=all.pkl"]
    arguments = [part for setting in settings for part in ("--set", setting)]
    result = call("run", *arguments, "-o", "runs/own")
    assert result.code == 0, result.err
    assert len(json.loads((untrained / "runs/own/evaluations/dev/predictions.json").read_text())) == 4
    assert call("run", *arguments, "-o", "runs/own").err.count("up to date") == 3
    wrong = call("run", *arguments, "--set", "evaluation.split=test")
    assert wrong.code == 2 and "(known: train, dev)" in wrong.err


@pytest.mark.slow
def test_a_byte_pair_run_carries_its_vocabulary(call, untrained):
    pytest.importorskip("tokenizers")
    settings = ["--set", "text.vocabulary=bpe", "--set", "text.max_size=40"]
    assert call("train", *settings, "-o", "runs/bpe").code == 0
    vocabulary = Vocabulary.load(untrained / "runs/bpe/vocabulary.json")
    assert vocabulary.merges and len(vocabulary) <= 44
    carried = load(untrained / "runs/bpe/captioner.keras").vocabulary
    assert carried.to_json() == vocabulary.to_json()
    assert call("evaluate", "runs/bpe").code == 0
    result = call("predict", "images/p00.png", "--model", "runs/bpe")
    assert result.code == 0 and "▁" not in result.out


def test_predict_takes_cocos_list_of_pictures(call, trained):
    listed = [{"id": number, "file_name": f"p{number:02}.png"} for number in (3, 1)]
    (trained / "images/image_info_test2014.json").write_text(json.dumps({"images": listed}))
    result = call("predict", "images/image_info_test2014.json", "--model", "runs/captioner")
    assert result.code == 0
    assert [line.split("\t")[0] for line in result.out.splitlines()] == ["images/p03.png", "images/p01.png"]
    listed.insert(0, {"id": 99, "file_name": "p99.png"})
    (trained / "images/image_info_test2014.json").write_text(json.dumps({"images": listed}))
    result = call("predict", "images/image_info_test2014.json", "--model", "runs/captioner")
    assert result.code == 1
    assert_one_line(result.err, "lists 3 pictures, but the first (p99.png) is not in images")


def test_download_lists_and_brings(call, untrained, monkeypatch):
    listed = call("download")
    assert listed.code == 0 and listed.out.startswith("flickr8k") and "train2017.zip" in listed.out
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("captions.txt", "a.jpg#0\tA dog .\n")
    digest = "sha256:" + hashlib.sha256(data.getvalue()).hexdigest()
    with serve({"small.zip": data.getvalue()}) as (_, address):
        small = DataSet(
            "one", "Free.", (Archive(f"{address}/small.zip", None, digest, "captions.txt", 99),), "read FOLDER"
        )
        monkeypatch.setitem(download_module.DATA_SETS, "small", small)
        result = call("download", "small")
        assert result.code == 0 and result.out == ""
        lines = result.err.splitlines()
        assert lines[0] == "small: one. Free." and lines[1] == f"downloading {address}/small.zip"
        assert lines[-1] == "data/small is ready: read data/small"
        assert (untrained / "data/small/captions.txt").is_file()
        result = call("download", "small", "-o", "other", "--mirror", f"{address}/nowhere")
        assert result.code == 1
        assert_one_line(result.err.splitlines(keepends=True)[-1], "answers 404", "--mirror")


def test_an_interrupted_download_says_how_to_go_on(call, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(download_module, "download", interrupt)
    result = call("download", "flickr8k")
    assert result == (130, "", "captioner: interrupted; run the same command again to continue\n")
