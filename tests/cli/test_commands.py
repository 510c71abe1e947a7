import csv
import json
import pickle
import re
import shutil

import h5py
import numpy as np
import pytest

import captioner
from captioner.storage import digest_file, read_manifest
from tests.cli.conftest import start
from tests.cli.project import make_project

RUN = "runs/captioner"


def test_extract(trained_once):
    result = trained_once.extracting
    assert (result.code, result.out) == (0, "")
    lines = result.err.splitlines()
    assert lines[0] == "using captioner.yaml"
    assert lines[1].startswith("extracting efficientnet_lite0 pool of 16 pictures on cpu:0 in float32")
    assert lines[2].startswith("features.pkl: 16 pictures in ") and len(lines) == 3
    features = pickle.loads((trained_once.folder / "features.pkl").read_bytes())
    assert list(features) == [f"p{index:02}" for index in range(16)]
    assert features["p00"].shape == (1, 1280) and features["p00"].dtype == np.float32
    manifest = read_manifest(trained_once.folder / "features.pkl")
    assert manifest["encoder"]["backbone"] == "efficientnet_lite0" and manifest["pictures"] == 16


def test_extract_does_nothing_twice(call, trained):
    before = (trained / "features.pkl").stat().st_mtime_ns
    assert call("extract").err == "using captioner.yaml\nfeatures.pkl: up to date (16 pictures)\n"
    assert (trained / "features.pkl").stat().st_mtime_ns == before


def test_extract_a_folder_without_a_recipe(call, trained):
    (trained / "captioner.yaml").unlink()
    options = ["--encoder", "efficientnet_lite0", "--layer", "grid", "--weights", "random"]
    assert call("extract", "images", "-o", "grid.h5", *options).code == 0
    with h5py.File("grid.h5") as file:
        assert file["features"].shape == (16, 49, 1280)


def test_clean(call, trained):
    result = call("clean", "captions.txt", "--rules", "classic")
    expected = "descriptions.txt: 16 pictures, 32 captions, 8 distinct words, the longest caption has 4 words\n"
    assert result == (0, "", expected)
    assert (trained / "descriptions.txt").read_text().startswith("p00 red ball\np00 there is red ball\n")
    assert call("clean", "captions.txt", "-o", "other.txt", "--images", "images").code == 0
    assert (trained / "other.txt").read_text().startswith("p00 a red ball\n")
    assert call("clean", "--set", "text.rules=classic").code == 0  # by the recipe
    assert read_manifest(trained / "descriptions.txt")["rules"] == "classic"


def test_train(trained_once):
    result = trained_once.training
    assert result.code == 0 and result.out == f"{RUN}\n"
    lines = result.err.splitlines()
    assert lines[1].startswith("device: CPU") and "precision: float32" in lines[1]
    assert lines[2].startswith("training on 12 pictures with 24 captions, 13 words")
    assert lines[3].startswith("note: 12 training pictures are few")
    assert any(line.startswith("epoch 1/1: loss ") and "dev BLEU-4" in line for line in lines)
    assert any(line.startswith("dev CIDEr-D ") and "most similar training pictures" in line for line in lines)
    folder = trained_once.folder / RUN
    made = {"config.yaml", "vocabulary.json", "captioner.keras", "history.csv", "manifest.json"}
    assert made <= {path.name for path in folder.iterdir()}
    (row,) = csv.DictReader((folder / "history.csv").read_text().splitlines())
    assert float(row["epoch"]) == 1 and {"loss", "val_loss", "bleu_4", "cider_d"} <= row.keys()
    assert read_manifest(folder)["captioner"] == digest_file(folder / "captioner.keras")


@pytest.mark.slow
def test_train_overwrites_when_told(call, trained):
    assert call("train", "--overwrite", "--set", "train.seed=5", "--set", "model.units=12").code == 0
    assert "seed: 5" in (trained / RUN / "config.yaml").read_text()


@pytest.mark.slow
def test_train_resumes(call, trained):
    (trained / RUN / "manifest.json").unlink()  # as a kill after the first epoch would leave it
    result = call("train", "--resume", "--set", "train.epochs=2")
    assert result.code == 0 and "continuing after epoch 1 of 2" in result.err
    assert len((trained / RUN / "history.csv").read_text().splitlines()) == 3


def test_evaluate(call, trained):
    result = call("evaluate", "--metrics", "bleu, rouge", "-o", "scores")
    assert result.code == 0
    assert result.out.startswith("BLEU-1 ") and "ROUGE-L" in result.out and "CIDEr" not in result.out
    assert (
        result.err
        == f"using {RUN}, the newest run\ncaptioning the 4 pictures of split dev\nresults written to scores\n"
    )
    predictions = json.loads((trained / "scores/predictions.json").read_text())
    assert [entry["image_id"] for entry in predictions] == ["p12", "p13", "p14", "p15"]
    assert predictions[0]["file_name"] == "p12.png" and predictions[0]["log_prob"] < 0
    scores = json.loads((trained / "scores/scores.json").read_text())
    assert scores["pictures"] == 4 and scores["split"] == "dev" and scores["beam_size"] == 2
    assert {"bleu_1", "bleu_4", "rouge_l"} <= scores.keys()
    assert len((trained / "scores/per_image.csv").read_text().splitlines()) == 5
    again = call("evaluate", RUN, "--split", "train", "--beam-size", "1")
    own = trained / RUN / "evaluations/train_beam_size-1"
    assert again.code == 0 and json.loads((own / "scores.json").read_text())["split"] == "train"


def test_evaluate_captions_made_elsewhere(call, trained):
    (trained / "mine.json").write_text(
        json.dumps([{"image_id": f"p{index:02}.png", "caption": "a red ball"} for index in (0, 4)])
    )
    result = call("evaluate", "--predictions", "mine.json", "--references", "captions.txt", "-o", "out")
    assert result.code == 0 and result.out.startswith("BLEU-1 83.33")
    assert result.err == "14 of the 16 pictures in captions.txt have no prediction and are left out\n"
    assert json.loads((trained / "out/scores.json").read_text())["bleu_1"] == pytest.approx(5 / 6, abs=1e-6)
    assert not (trained / "out/predictions.json").exists()


def test_evaluate_lists_and_what_they_hold_at_best(call, trained):
    options = ["--metrics", "bleu,cider,diversity,oracle", "-n", "2", "--confidence", "-o", "scores"]
    result = call("evaluate", RUN, *options)
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0].split() == ["score", "95", "%", "interval"]
    assert [line.split()[0] for line in lines[1:6]] == ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "CIDEr-D"]
    assert any(line.startswith("oracle CIDEr-D") for line in lines) and lines[-1].startswith("novel ")
    entry = json.loads((trained / "scores/predictions.json").read_text())[0]
    assert len(entry["alternatives"]) == 1 and entry["alternatives"][0]["caption"] != entry["caption"]
    scores = json.loads((trained / "scores/scores.json").read_text())
    assert scores["n"] == 2 and scores["oracle_cider_d"] >= scores["cider_d"] and 0 <= scores["novel"] <= 1
    low, high = scores["confidence"]["intervals"]["bleu_1"]
    assert low <= scores["bleu_1"] <= high
    files = ["-P", "scores/predictions.json", "-R", "captions.txt"]
    assert call("evaluate", *files, "--metrics", "bleu,oracle", "-o", "x").code == 0
    assert json.loads((trained / "x/scores.json").read_text())["oracle_bleu_1"] == scores["oracle_bleu_1"]


def test_evaluate_plain_lines(call, trained):
    (trained / "mine.txt").write_text("a red ball\na blue box\n")
    (trained / "1.txt").write_text("a red ball\nthe blue box\n")
    (trained / "2.txt").write_text("one ball\na blue box\n")
    result = call("evaluate", "-P", "mine.txt", "-R", "1.txt", "-R", "2.txt", "--metrics", "bleu", "-o", "out")
    assert (result.code, result.err) == (0, "") and result.out.startswith("BLEU-1 100.00")
    assert (trained / "out/per_image.csv").read_text().splitlines()[1].startswith("1,1.000000,")


def test_compare_two_runs(call, trained):
    assert call("evaluate", RUN).code == 0
    shutil.copytree(RUN, "runs/other")
    entries = json.loads((trained / "runs/other/evaluations/dev/predictions.json").read_text())
    changed = [{**entry, "caption": "a red ball"} for entry in entries]
    (trained / "runs/other/evaluations/dev/predictions.json").write_text(json.dumps(changed))
    refused = call("compare", RUN, "runs/other")
    assert refused.code == 1 and "predictions.json" in refused.err  # it is not the file of its manifest
    (trained / "other.json").write_text(json.dumps(changed))
    own = f"{RUN}/evaluations/dev/predictions.json"
    result = call("compare", own, "other.json", "-R", "captions.txt")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"A  {own}\nB  other.json\n") and "CIDEr-D" in result.out
    found = json.loads(call("compare", RUN, RUN, "--metrics", "rouge", "--json").out)
    assert found["pictures"] == 4 and found["scores"]["rouge_l"]["p"] == 1


@pytest.mark.slow
def test_average_two_runs(call, trained):
    shutil.copytree(RUN, "runs/other")
    refused = call("average", RUN, "-o", "runs/mean")
    assert (refused.code, refused.err) == (2, "captioner: average: needs at least two runs\n")
    result = call("average", RUN, "runs/other", "-o", "runs/mean")
    assert result.code == 0 and result.out == "runs/mean\n", result.err
    of_one, of_mean = (call("predict", "images/p03.png", "--model", run).out for run in (RUN, "runs/mean"))
    assert of_one == of_mean  # the mean of equals
    assert call("evaluate", "runs/mean").code == 0 and call("report", "runs/mean").code == 0
    refused = call("average", RUN, "runs/other", "-o", "runs/set", "--set", "train.epochs=3")
    assert refused.err == "captioner: --set train.epochs=3: only settings of generation can be changed after training\n"
    assert call("average", RUN, "runs/other", "-o", "runs/set", "--set", "generation.beam_size=7").code == 0
    assert captioner.load("runs/set").generation.beam_size == 7
    again = call("average", RUN, "runs/other", "-o", "runs/mean")
    assert again.code == 1 and "--overwrite" in again.err


def test_report(call, trained):
    assert call("evaluate", RUN).code == 0
    result = call("report", RUN)
    assert (result.code, result.out, result.err) == (0, f"{RUN}/report.html\n", "")
    page = (trained / RUN / "report.html").read_text()
    sources = [picture["source"] for picture in pictures_in(page)]
    assert page.startswith("<!doctype html>") and len(sources) == 4
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert call("report", RUN, "-o", "page.html", "--pictures", "2").out == "page.html\n"
    assert len(pictures_in((trained / "page.html").read_text())) == 2


def pictures_in(page):
    """Return the pictures that a report shows; beside each it has training pictures, too."""
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])["pictures"]


def test_curves_of_a_run_are_drawn_without_an_evaluation(call, trained):
    pytest.importorskip("matplotlib")
    assert call("report", RUN, "--curves", "curves.svg") == (0, "curves.svg\n", "")
    assert "Perplexity on dev" in (trained / "curves.svg").read_text()
    assert not (trained / RUN / "report.html").exists()
    result = call("report", RUN, "--curves", "curves.bmp")
    assert result.code != 0 and "--curves curves.bmp: the name must end in png, svg or pdf" in result.err
    result = call("report", "images", "--curves", "curves.svg")
    assert result.code != 0 and "images: has no history.csv; captioner train writes it" in result.err


def test_predict_several_and_folders(call, trained):
    shutil.copytree("images", "more/deeper")
    result = call("predict", "images/p01.png", "more", "--model", RUN, "--beam-size", "1")
    assert result.code == 0 and result.err == ""
    rows = [line.split("\t") for line in result.out.splitlines()]
    assert [row[0] for row in rows] == ["images/p01.png", *(f"more/deeper/p{index:02}.png" for index in range(16))]
    assert rows[0][1] == rows[2][1]  # the same picture has the same caption


def test_predict_json_with_several_captions(call, trained):
    result = call("predict", "images/p01.png", "-n", "3", "--json", "--model", f"{RUN}/captioner.keras")
    assert result.code == 0 and result.err == ""
    found = json.loads(result.out)
    assert result.out.count("\n") == 1 and found["file"] == "images/p01.png" and len(found["captions"]) == 3
    log_probs = [caption["log_prob"] for caption in found["captions"]]
    scores = [caption["score"] for caption in found["captions"]]
    assert scores == sorted(scores, reverse=True)
    assert len({caption["caption"] for caption in found["captions"]}) == 3 and max(log_probs) < 0


def test_predict_draws_its_results(call, trained):
    result = call("predict", "images", "--model", RUN, "--groups", "2", "-n", "3", "--out", "results")
    assert result.code == 0 and result.err == ""
    rows = list(csv.DictReader((trained / "results/results.csv").read_text().splitlines()))
    assert [f"{row['file']}\t{row['caption']}" for row in rows] == result.out.splitlines()
    assert {row["annotated"] for row in rows} == {path.name for path in (trained / "results").glob("*.jpg")}
    assert [row["rank"] for row in rows[:2]] == ["1", "2"]


def test_predict_samples(call, trained):
    options = ["images/p01.png", "--model", RUN, "-n", "6", "--temperature", "1.5", "--json"]
    once, again, other = (call("predict", *options, "--seed", seed) for seed in (4, 4, 5))
    assert once.code == 0 and once == again != other
    assert len(json.loads(once.out)["captions"]) == 6


def test_constraints_and_words_that_the_model_does_not_know(call, trained):
    options = ["--model", RUN, "--banned-words", "red, unicorn", "--bad-endings", "english", "--min-length", "3"]
    result = call("predict", "images", *options)
    assert result.code == 0 and result.err == "note: banned_words: 'unicorn' is not in the vocabulary\n"
    for line in result.out.splitlines():
        words = line.split("\t")[1].split()
        assert len(words) >= 3 and "red" not in words and words[-1] not in ("a", "is", "there")
    result = call("evaluate", RUN, "--banned-words", "red,unicorn", "--metrics", "bleu", "-o", "scores")
    assert result.code == 0 and "note: banned_words: 'unicorn' is not in the vocabulary\n" in result.err
    assert "red" not in (trained / "scores/predictions.json").read_text()


@pytest.mark.slow
def test_an_ensemble(call, trained):
    assert call("train", "-o", "runs/other", "--set", "train.seed=5", "--set", "model.units=12").code == 0
    members = ["--model", RUN, "--model", "runs/other"]
    result = call("predict", "images/p01.png", *members, "-n", "2", "--json")
    assert result.code == 0 and result.err == ""
    assert len(json.loads(result.out)["captions"]) == 2
    result = call("evaluate", RUN, "runs/other", "--metrics", "bleu", "-o", "scores")
    assert result.code == 0 and result.out.startswith("BLEU-1 ")
    assert result.err == "captioning the 4 pictures of split dev with 2 captioners\nresults written to scores\n"
    digests = [digest_file(f"{run}/captioner.keras") for run in (RUN, "runs/other")]
    assert read_manifest(trained / "scores/scores.json")["captioner"] == digests


@pytest.mark.slow
def test_run_does_what_is_missing(call, untrained):
    settings = ["--set", "data.descriptions=descriptions.txt"]
    first = call("run", *settings)
    assert first.code == 0 and first.out.startswith("BLEU-1 ")
    stages = [line for line in first.err.splitlines() if line.startswith("==")]
    assert stages == ["== extract ==", "== clean ==", "== train ==", "== evaluate =="]
    second = call("run", *settings)
    assert (second.code, second.out) == (0, first.out)
    assert second.err.count("up to date") == 4
    other = call("run", *settings, "--set", "train.seed=3")
    assert other.code == 1 and "train.seed: 0 then, 3 now" in other.err.splitlines()[-1]


def test_run_trains_in_several_processes(call, tmp_path, monkeypatch):
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("captioner.keras_settings.find_backend", lambda: "jax")
    for stage in ("_extract", "_clean"):
        monkeypatch.setattr(f"captioner.stages.run.{stage}", lambda *_: None)
    monkeypatch.setattr("captioner.stages.run._evaluate", lambda *_: "scores")
    started, codes = [], [1, 0]

    def launch(arguments, count, *, results):
        started.append((arguments, count, results))
        return codes.pop(0)

    monkeypatch.setattr("captioner.training.launch.launch", launch)
    options = ["-o", "runs/two", "--processes", "2", "--set", "train.seed=3"]
    failed = call("run", *options)
    assert (failed.code, failed.out) == (1, "")
    assert "== evaluate ==" not in failed.err
    done = call("run", *options)
    assert (done.code, done.out) == (0, "scores\n")
    assert started == [(["train", "-o", "runs/two", "--resume", "--set", "train.seed=3"], 2, False)] * 2


def test_predict_one_picture_in_a_process_of_its_own(trained):
    process = start("predict", "images/p01.png", cwd=trained)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and out.count("\n") == 1 and "\t" not in out
    said = err.splitlines()
    assert said[0] == "using the built-in captioner; --model RUN uses your own"
    assert len(said) == 2 and "unlike the pictures that this captioner was trained on" in said[1]  # it is a drawing
