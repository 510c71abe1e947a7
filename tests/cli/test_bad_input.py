"""Whatever a user gets wrong ends in one line that names the file and the way out, and leaves what was there."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import assert_one_line

RUN = "runs/captioner"
RECIPE = ["-c", "captioner.yaml"]
TRAIN = ["train", *RECIPE, "-o", "runs/new"]


@pytest.fixture
def broken():
    """Make pictures that cannot be read: name -> what must be said of it."""

    def make(folder):
        whole = Path("images/p00.png").read_bytes()
        (folder / "empty.jpg").touch()
        (folder / "half.png").write_bytes(whole[: len(whole) // 2])
        (folder / "text.png").write_text("not a picture at all")
        return {"empty.jpg": "empty", "half.png": "truncated", "text.png": "not a picture"}

    return make


class TestPictures:
    @pytest.mark.slow
    def test_broken_ones_are_passed_over_named_and_counted(self, call, untrained, broken):
        faults = broken(untrained / "images")
        result = call("extract", *RECIPE, "-o", "new.pkl")
        assert result.code == 0
        assert "skipped pictures: 3, see new.pkl.skipped.csv" in result.err and "images/empty.jpg" in result.err
        listed = (untrained / "new.pkl.skipped.csv").read_text()
        assert all(name in listed and fault in listed for name, fault in faults.items())
        assert len(pickle.loads((untrained / "new.pkl").read_bytes())) == 16

    def test_strict_stops_at_the_first(self, call, untrained, broken):
        broken(untrained / "images")
        before = (untrained / "features.pkl").read_bytes()
        result = call("extract", *RECIPE, "--strict", "--overwrite")
        assert result.code == 1 and result.out == ""
        assert_one_line(result.err.splitlines(keepends=True)[-1], "images/empty.jpg: empty")
        assert (untrained / "features.pkl").read_bytes() == before

    def test_predict_names_each_and_captions_the_others(self, call, trained, broken):
        faults = broken(trained)
        result = call("predict", *faults, "images/p00.png", "--model", RUN)
        assert result.code == 1 and result.out.startswith("images/p00.png\t") and result.out.count("\n") == 1
        for line, (name, fault) in zip(result.err.splitlines(keepends=True), faults.items(), strict=True):
            assert_one_line(line, f"{name}: ", fault)

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read anything")
    def test_one_that_may_not_be_read(self, refused, trained):
        (trained / "images/p00.png").chmod(0)
        refused(1, ["images/p00.png: ", "ermission"], "predict", "images/p00.png", "--model", RUN)

    def test_none_at_all(self, refused, trained):
        (trained / "empty").mkdir()
        refused(1, ["nope.jpg: no such picture or folder"], "predict", "nope.jpg", "--model", RUN)
        refused(1, ["empty: no picture in it"], "predict", "empty", "--model", RUN)
        refused(1, ["empty: no picture in it"], "extract", "empty", "-o", "new.pkl")
        refused(1, ["nope: no such folder"], "extract", "nope", "-o", "new.pkl")


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hacked",)


class TestFeatures:
    def features(self, name, content):
        Path(name).write_bytes(pickle.dumps(content))

    def test_truncated(self, refused, untrained):
        data = (untrained / "features.pkl").read_bytes()
        (untrained / "cut.pkl").write_bytes(data[: len(data) // 2])
        refused(1, ["cut.pkl: truncated", "make it again"], *TRAIN, "--features", "cut.pkl")
        (untrained / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50))
        refused(1, ["cut.h5: broken, truncated or not HDF5", "get it again"], *TRAIN, "--features", "cut.h5")

    def test_truncated_beside_its_manifest(self, refused, untrained):
        data = (untrained / "features.pkl").read_bytes()
        (untrained / "features.pkl").write_bytes(data[: len(data) // 2])
        refused(1, ["features.pkl: its digest is ", "extract the features again"], *TRAIN)

    def test_hostile(self, refused, untrained):
        self.features("bad.pkl", {"p00": Hostile()})
        refused(1, ["bad.pkl: refused", "system", "hostile"], *TRAIN, "--features", "bad.pkl")
        assert not (untrained / "hacked").exists()

    def test_pictures_of_the_split_missing(self, refused, untrained):
        self.features("few.pkl", {f"p{index:02}": np.zeros((1, 8), np.float32) for index in range(10)})
        words = ["few.pkl: lacks 2 of the 12 pictures of split train (first: p10)", "captioner extract"]
        refused(1, words, *TRAIN, "--features", "few.pkl")

    def test_of_another_encoder_than_the_runs(self, call, refused, trained):
        options = ["--encoder", "efficientnet_lite0", "--layer", "grid", "--weights", "random"]
        assert call("extract", "images", "-o", "grid.pkl", *options).code == 0
        words = ["grid.pkl: comes from another encoder", "layer: "]
        refused(1, words, "evaluate", RUN, "--features", "grid.pkl")
        words = ["grid.pkl: comes from another encoder", "overwrite"]
        refused(1, words, "extract", *RECIPE, "-o", "grid.pkl")

    @pytest.mark.slow
    def test_of_nobody_knows_which_encoder(self, call, refused, untrained):
        rng = np.random.default_rng(0)
        self.features("mine.pkl", {f"p{index:02}": rng.normal(size=(1, 8)).astype("f") for index in range(16)})
        refused(1, ["mine.pkl: already exists", "overwrite"], "extract", *RECIPE, "-o", "mine.pkl")
        assert call(*TRAIN, "--features", "mine.pkl").code == 0
        words = ["runs/new: ", "without the name of their encoder", "captioner extract"]
        refused(1, words, "predict", "images/p00.png", "--model", "runs/new")
        words = ["features.pkl: has 1280 numbers per picture, but runs/new was trained on 8"]
        refused(1, words, "evaluate", "runs/new", "--features", "features.pkl")

    def test_not_there_or_of_another_kind(self, refused, untrained):
        refused(1, ["nope.pkl: no such file", "captioner extract"], *TRAIN, "--features", "nope.pkl")
        refused(1, ["captions.txt: a feature file ends in .pkl or .h5"], *TRAIN, "--features", "captions.txt")
        refused(1, ["new.txt: a feature file ends in .pkl or .h5"], "extract", *RECIPE, "-o", "new.txt")


class TestCaptions:
    def test_an_empty_file(self, refused, untrained):
        (untrained / "captions.txt").write_text("\n")
        refused(1, ["captions.txt: empty", "name a caption file"], "clean", "captions.txt")
        refused(1, ["captions.txt: empty"], *TRAIN)

    def test_a_malformed_line(self, refused, untrained):
        lines = (untrained / "captions.txt").read_text().splitlines()
        lines[6] = "p03.png#0 with no tab"
        (untrained / "captions.txt").write_text("\n".join(lines))
        words = ["captions.txt: line 7 is not `name.jpg#0<TAB>caption`; correct or remove it"]
        refused(1, words, "clean", "captions.txt")
        refused(1, words, *TRAIN)

    def test_not_utf_8(self, refused, untrained):
        (untrained / "captions.txt").write_bytes(b"a.jpg#0\tA dog .\nb.jpg#0\tA caf\xe9 .\n")
        refused(1, ["captions.txt: line 2 is not UTF-8"], "clean", "captions.txt")

    def test_cleaned_onto_themselves(self, refused, untrained):
        refused(2, ["captions.txt: is the caption file itself"], "clean", "captions.txt", "-o", "./captions.txt")

    def test_a_file_that_is_not_there(self, refused, untrained):
        refused(1, ["nope.txt: no such file; check the path"], "clean", "nope.txt")
        refused(2, ["'nope' is not known (known: auto, flickr,"], "clean", "captions.txt", "--format", "nope")

    def test_an_output_that_cannot_be_written(self, refused, untrained):
        words = ["train.txt/d.txt: cannot be written (train.txt is not a folder)"]
        refused(1, words, "clean", "captions.txt", "-o", "train.txt/d.txt")

    def test_a_split_that_names_an_unknown_picture(self, refused, untrained):
        with (untrained / "dev.txt").open("a") as file:
            file.write("p99.png\n")
        words = ["dev.txt: 1 of the 5 pictures of split 'dev' have no caption in captions.txt", "'p99'", "correct"]
        refused(1, words, *TRAIN)

    def test_a_split_that_shares_a_picture(self, refused, untrained):
        shutil.copy("train.txt", "dev.txt")
        refused(1, ["'train' and 'dev' share 12 pictures"], *TRAIN)

    def test_a_split_that_is_empty_or_not_there(self, refused, untrained):
        (untrained / "dev.txt").write_text("")
        refused(1, ["dev.txt: names no picture"], *TRAIN)
        (untrained / "dev.txt").unlink()
        refused(1, ["dev.txt: no such file"], *TRAIN)
        refused(1, ["dev.txt: no such file", "data.splits.dev"], "run", *RECIPE)


class TestRecipes:
    @pytest.mark.parametrize(
        "setting, words",
        [
            ("train.epohcs=3", "--set: train.epohcs: unknown setting; did you mean epochs?"),
            ("train.epochs=three", "--set: train.epochs: expected a whole number, found 'three' (str)"),
            ("train.epochs=0", "--set: train: epochs must be 1 or more, found 0"),
            ("train.learning_rate=.nan", "--set: train.learning_rate: expected a number, found nan (float)"),
            ("train.epochs", "--set train.epochs: expected section.key=value"),
            ("generation.beam_size=0", "--set: generation: beam_size must be 1 or more, found 0"),
            ("model.architecture=merg", "--set: model.architecture: 'merg' does not exist; known: "),
            ("encoder.backbone=vgg61", "--set: encoder: backbone 'vgg61' is unknown; did you mean vgg19?"),
            ("evaluation.metrics=[blue]", "--set: evaluation.metrics: 'blue' is not known (known: bleu, "),
        ],
    )
    @pytest.mark.parametrize("command", [["train", "-o", "runs/new"], ["extract"], ["clean"], ["run"]])
    def test_a_wrong_setting(self, refused, untrained, command, setting, words):
        refused(2, [words], *command, "--set", setting)

    def test_a_wrong_setting_in_the_file(self, refused, untrained):
        path = untrained / "captioner.yaml"
        good = path.read_text()
        path.write_text(good + "trian: {epochs: 3}\n")
        refused(2, ["captioner.yaml: trian: unknown setting; did you mean train?"], "train")
        path.write_text(good + "extraction: {threads: many}\n")
        refused(
            2,
            ["captioner.yaml: extraction.threads: expected a whole number or one of auto, found 'many' (str)"],
            "train",
        )
        path.write_text(good + "text: [\n")
        refused(2, ["captioner.yaml: line ", "is not YAML"], "train")

    def test_one_that_is_not_there(self, refused, untrained):
        refused(1, ["nope: no such recipe", "a built-in recipe: ", "sample"], "train", "-c", "nope")

    def test_a_split_to_evaluate_that_is_not_there_is_found_before_the_work(self, refused, untrained):
        words = ["evaluation.split: 'tets' is not in data.splits (known: train, dev)"]
        refused(2, words, "run", *RECIPE, "--set", "evaluation.split=tets")


class TestRuns:
    def test_no_runs_at_all(self, refused, untrained):
        refused(1, ["runs: contains no trained captioner; train one with captioner train"], "evaluate")

    def test_a_folder_that_is_none(self, refused, trained):
        words = ["images: is not a finished run folder", "name a run folder of captioner train"]
        refused(1, words, "evaluate", "images")
        refused(1, ["nope: is not a finished run folder", "captioner train -o nope"], "evaluate", "nope")
        words = ["images: is not a run folder", "name a run folder of captioner train"]
        refused(1, words, "predict", "images/p00.png", "--model", "images")
        refused(1, ["nope: no such file", "captioner train"], "predict", "images/p00.png", "--model", "nope")

    def test_one_whose_captioner_is_truncated(self, refused, trained):
        path = trained / RUN / "captioner.keras"
        path.write_bytes(path.read_bytes()[:1000])
        words = [f"{RUN}/captioner.keras: cannot be loaded as a captioner", "train it again"]
        refused(1, words, "predict", "images/p00.png", "--model", RUN)
        refused(1, words, "evaluate", RUN)

    def test_one_whose_settings_are_broken(self, refused, trained):
        (trained / RUN / "config.yaml").write_text("features: 3\n")
        refused(2, [f"{RUN}/config.yaml: features: expected text, found 3 (int)"], "evaluate", RUN)

    def test_a_finished_one_is_not_trained_again(self, refused, call, trained):
        words = [f"{RUN}: contains a finished run", "--overwrite"]
        refused(1, words, "train", *RECIPE, "-o", RUN)
        again = call("train", *RECIPE, "-o", RUN, "--resume")
        assert again.code == 0 and "--resume --set train.epochs=N with a larger N to add epochs" in again.err
        refused(2, ["--resume and --overwrite: choose one"], "train", *RECIPE, "--resume", "--overwrite")

    def test_an_unfinished_one_of_other_settings(self, call, trained):
        (trained / RUN / "manifest.json").unlink()
        result = call("train", *RECIPE, "-o", RUN, "--resume", "--set", "train.seed=7")
        assert result.code == 1
        words = ["checkpoint.npz: belongs to a run with other settings or data", "--overwrite"]
        assert_one_line(result.err.splitlines(keepends=True)[-1], *words)

    def test_an_unfinished_one_with_half_a_checkpoint(self, call, trained):
        (trained / RUN / "manifest.json").unlink()
        path = trained / RUN / "checkpoints/checkpoint.npz"
        path.write_bytes(path.read_bytes()[:1000])
        result = call("train", *RECIPE, "-o", RUN, "--resume")
        assert result.code == 1
        words = ["checkpoint.npz: not a whole checkpoint", "--overwrite"]
        assert_one_line(result.err.splitlines(keepends=True)[-1], *words)


class TestSeveralProcesses:
    @pytest.mark.parametrize(
        ("option", "command"),
        [
            ("--processes", [*TRAIN, "--processes", "2"]),
            ("--processes", ["run", *RECIPE, "--processes", "2"]),
            ("--engine ray", [*TRAIN, "--engine", "ray"]),
            ("--engine ray", [*TRAIN, "--address", "head:6379"]),
        ],
    )
    def test_on_another_backend(self, refused, trained, monkeypatch, option, command):
        monkeypatch.setattr("captioner.keras_settings.find_backend", lambda: "tensorflow")
        refused(2, [f"{option}: several processes train on JAX only; set KERAS_BACKEND=jax"], *command)

    def test_a_cluster_for_what_runs_here(self, refused, trained):
        command = [*TRAIN, "--engine", "local", "--address", "head:6379"]
        refused(2, ["--address: needs --engine ray; add it, or leave --address out"], *command)

    def test_run_as_one_of_them(self, refused, untrained, monkeypatch):
        monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "2")
        words = "KERAS_DISTRIBUTION_NUM_PROCESSES: captioner run ignores it; unset it and use --processes"
        refused(2, [words], "run")


class TestScores:
    def test_an_unknown_metric(self, refused, trained):
        words = ["--metrics: 'blue' is not known (known: bleu, rouge, cider"]
        refused(2, words, "evaluate", RUN, "--metrics", "bleu,blue")

    def test_an_unknown_split(self, refused, trained):
        refused(1, ["split 'tets' is not in the data (known: train, dev)"], "evaluate", RUN, "--split", "tets")

    def test_more_captions_than_beams(self, refused, trained):
        words = ["-n 3 needs --beam-size 3 or more (got 2)"]
        refused(2, words, "predict", "images/p00.png", "--model", RUN, "-n", "3", "--beam-size", "2")

    def test_settings_of_generation_that_do_not_fit(self, refused, trained):
        predict = ["predict", "images/p00.png", "--model", RUN]
        words = ["groups must divide the beam into equal parts, found 3 groups of beam_size 2"]
        refused(2, words, *predict, "--groups", "3")
        refused(2, words, "evaluate", RUN, "--groups", "3", "-o", "out")
        refused(2, ["min_length 9 is above max_length 6"], *predict, "--min-length", "9")

    def test_results_among_the_pictures_themselves(self, refused, trained):
        words = ["images: contains pictures to caption; name another folder"]
        refused(2, [f"--out {words[0]}"], "predict", "images", "--model", RUN, "--out", "images")
        refused(2, ["'--out'", "is a file"], "predict", "images", "--model", RUN, "--out", "train.txt")

    def test_attention_of_a_model_without(self, refused, trained):
        words = ["--attention: this model's architecture has no attention over picture regions", "leave it out"]
        refused(1, words, "predict", "images/p00.png", "--model", RUN, "--attention", "att")

    @pytest.mark.slow
    def test_an_ensemble_of_other_vocabularies(self, call, refused, trained):
        settings = ["--set", "text.max_size=5", "-o", "runs/small"]
        assert call("train", *RECIPE, *settings).code == 0
        words = [
            "runs/small: has a different vocabulary than runs/captioner (9 words against 13",
            "an ensemble on the same captions",
        ]
        refused(1, words, "predict", "images/p00.png", "--model", RUN, "--model", "runs/small")
        refused(1, words, "evaluate", RUN, "runs/small", "-o", "out")

    @pytest.mark.parametrize(
        "text, words",
        [
            ("", "mine.json: empty"),
            ("[", "mine.json: line 1 is not JSON"),
            ('[{"image": 3}]', "mine.json: entry 1 has no `image` or no `caption`"),
            ("p00 a ball\np00 a box\n", "mine.json: p00 has 2 captions; keep one per picture"),
            ("p99 a ball\n", "mine.json and captions.txt have no id in common: 'p99' in one, 'p00' in the other"),
        ],
    )
    def test_broken_predictions(self, refused, trained, text, words):
        (trained / "mine.json").write_text(text)
        refused(1, [words], "evaluate", "--predictions", "mine.json", "--references", "captions.txt", "-o", "out")

    def test_lists_where_one_caption_is_wanted(self, refused, trained):
        (trained / "mine.txt").write_text("p00 a ball\np00 a box\n")
        words = ["mine.txt: p00 has 2 captions; keep one", "--metrics oracle", "--parallel"]
        refused(1, words, "evaluate", "-P", "mine.txt", "-R", "captions.txt", "-o", "out")
        refused(2, ["give -n 5, or evaluation.n in a recipe"], "evaluate", RUN, "--metrics", "bleu,oracle")
        refused(2, ["n must be between 1 and the beam size 2, found 5"], "evaluate", RUN, "-n", "5")

    def test_references_without_a_prediction_when_all_are_wanted(self, refused, trained):
        (trained / "mine.txt").write_text("p00 a ball\n")
        words = ["mine.txt: 15 of the 16 pictures in captions.txt have no prediction, first 'p01'", "leave out --all"]
        refused(1, words, "evaluate", "-P", "mine.txt", "-R", "captions.txt", "-o", "out", "--all")

    def test_files_that_are_not_parallel(self, refused, trained):
        (trained / "mine.txt").write_text("a ball\n")
        for name, text in {"1.txt": "a ball\na box\n", "2.txt": "a ball\n"}.items():
            (trained / name).write_text(text)
        words = ["1.txt: has 2 lines, but mine.txt has 1; files of plain captions need one line for each candidate"]
        refused(1, words, "evaluate", "-P", "mine.txt", "-R", "1.txt", "-R", "2.txt", "-o", "out")

    def test_predictions_and_frequencies_that_are_not_utf_8_or_not_there(self, refused, trained):
        (trained / "mine.txt").write_bytes(b"p00 a ball\np01 a caf\xe9\n")
        score = ["evaluate", "-R", "captions.txt", "-o", "out"]
        refused(1, ["mine.txt: line 2 is not UTF-8"], *score, "-P", "mine.txt")
        (trained / "mine.txt").write_text("p00 a ball\n")
        refused(1, ["nope.txt: no such file"], *score, "-P", "mine.txt", "--cider-df", "nope.txt")
        refused(1, ["nope.txt: no such file"], *score, "-P", "nope.txt")
        refused(1, ["nope.txt: no such file"], "evaluate", RUN, "--cider-df", "nope.txt")

    def test_comparing_what_cannot_be_compared(self, refused, trained):
        refused(1, [f"{RUN}: has no scores.json; captioner evaluate {RUN} makes it"], "compare", RUN, RUN)
        (trained / "a.txt").write_text("p00 a ball\n")
        (trained / "b.txt").write_text("p01 a ball\n")
        words = ["a.txt and b.txt: have no picture in common"]
        refused(1, words, "compare", "a.txt", "b.txt", "-R", "captions.txt")

    def test_a_report_on_what_has_not_been_evaluated(self, refused, trained):
        refused(1, [f"{RUN}: has no scores.json; captioner evaluate {RUN} makes it"], "report", RUN)
        refused(1, ["nope: has no scores.json"], "report", "nope")

    def test_broken_references(self, refused, trained):
        (trained / "mine.json").write_text(json.dumps([{"image_id": "p00", "caption": "a ball"}]))
        (trained / "none.txt").touch()
        refused(
            1, ["none.txt: empty"], "evaluate", "--predictions", "mine.json", "--references", "none.txt", "-o", "out"
        )


class TestNumbersAndNames:
    @pytest.mark.parametrize("option", ["--max-mib", "--max-megapixels", "--deadline", "--window"])
    @pytest.mark.parametrize("value", ["nan", "inf"])
    def test_of_serve(self, refused, option, value):
        refused(2, [option, "is not a number"], "serve", option, value)

    def test_of_predict(self, refused, untrained):
        refused(2, ["--unsure", "is not a number"], "predict", "a.jpg", "--unsure", "nan")
        refused(2, ["--overwrite: needs --out; add it"], "predict", "images", "--overwrite")
        refused(1, ["ftp://x/a.jpg: only addresses that begin with http://"], "predict", "ftp://x/a.jpg")

    @pytest.mark.parametrize(
        "arguments",
        [
            ("clean", ""),
            ("clean", "captions.txt", "-o", ""),
            ("clean", "captions.txt", "--images", ""),
            ("evaluate", "-P", ""),
            ("evaluate", "-P", "a.json", "-R", ""),
            ("split", ""),
            ("split", "captions.txt", "--images", ""),
            ("init", ""),
            ("init", "images", ""),
        ],
    )
    def test_an_empty_name(self, refused, untrained, arguments):
        refused(2, ["the name is empty"], *arguments)

    def test_shares(self, refused, untrained):
        split = ("split", "captions.txt", "-o", "lists", "--shares")
        refused(2, ["train is named twice"], *split, "train=0.5,train=0.5")
        refused(2, ["cannot be the name of a list"], *split, "../out=0.5,dev=0.5")

    def test_captions_without_features(self, refused, untrained):
        arguments = ("clean", "captions.txt", "--features", "new.h5", "-o", "new.txt")
        refused(1, ["captions.txt: has no features", "coco2014_captions.h5 only"], *arguments)
        refused(1, ["missing.h5: no such file"], "clean", "missing.h5", *arguments[2:])

    def test_check_writes_nothing(self, refused, untrained):
        refused(2, ["needs lists of pictures"], "split", "captions.txt", "--images", "images", "--check")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is needed")
def test_a_full_standard_output_is_said_in_one_line():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "captioner", "settings", "train"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr == "captioner: standard output cannot be written (No space left on device); send it elsewhere\n"


def test_a_closed_standard_output_is_no_error():
    command = 'exec "$0" -m captioner settings train >&-'
    done = subprocess.run(["sh", "-c", command, sys.executable], stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")
