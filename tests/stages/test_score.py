import csv
import json
import subprocess
import sys

import pytest

from captioner.metrics.config import EvaluationConfig
from captioner.stages.score import score_files
from captioner.storage import DataError, digest_file, read_manifest


@pytest.fixture
def files(tmp_path):
    (tmp_path / "p.txt").write_text("a a dog runs\nb a cat\n")
    (tmp_path / "r.txt").write_text("a.jpg#0\tA dog runs .\nb.jpg#0\tThe cat .\nc.jpg#0\tA cow .\n")
    return tmp_path


def run(folder, **options):
    config = EvaluationConfig(metrics=options.pop("metrics", ("bleu", "cider")), **options.pop("config", {}))
    return score_files(folder / "p.txt", [folder / "r.txt"], config, folder / "out", **options)


def test_scores_a_table_and_a_manifest_are_written(files, said):
    scores = run(files)
    written = json.loads((files / "out/scores.json").read_text())
    assert written["bleu_1"] == pytest.approx(scores.corpus["bleu_1"], abs=1e-6) and written["pictures"] == 2
    rows = list(csv.DictReader((files / "out/per_image.csv").read_text().splitlines()))
    assert [row["caption"] for row in rows] == ["a dog runs", "a cat"]
    assert read_manifest(files / "out/scores.json")["predictions"] == digest_file(files / "p.txt")
    assert said == [f"1 of the 3 pictures in {files / 'r.txt'} have no prediction and are left out"]


def test_all_makes_a_missing_prediction_an_error_and_leaves_nothing(files):
    with pytest.raises(DataError, match=r"p\.txt: 1 of the 3 pictures in .* have no prediction, first 'c'"):
        run(files, every=True)
    assert not (files / "out").exists()


def test_a_prediction_without_references_is_named(files):
    with (files / "p.txt").open("a") as file:
        file.write("x a horse\n")
    with pytest.raises(DataError, match=r"p\.txt: 1 of the 3 candidates have no references \(first: 'x'\)"):
        run(files)


def test_a_single_picture_is_scored_and_its_cider_explained(files, said):
    (files / "p.txt").write_text("a a dog runs\n")
    assert run(files).corpus["cider_d"] == 0
    assert said[-1] == "note: CIDEr-D of a single picture is 0: document frequencies need several pictures"


def test_document_frequencies_of_a_file_are_recorded(files):
    (files / "df.txt").write_text("x a dog runs\ny a cow\nz the cat\n")
    frequencies = {"cider_df": str(files / "df.txt")}
    assert run(files, config=frequencies).corpus["cider_d"] != run(files).corpus["cider_d"]
    run(files, config=frequencies)
    assert json.loads((files / "out/scores.json").read_text())["cider_df"] == frequencies["cider_df"]
    assert read_manifest(files / "out/scores.json")["cider_df"] == digest_file(files / "df.txt")


def test_captions_that_the_training_does_not_hold(files):
    (files / "training.txt").write_text("1 A dog runs.\n2 The cow\n")
    assert run(files, metrics=("diversity",), training=files / "training.txt").corpus["novel"] == 0.5


def test_oracle_of_a_list(files):
    (files / "p.txt").write_text("a nothing\na a dog runs\nb the cat\n")
    corpus = run(files, metrics=("bleu", "oracle")).corpus
    assert corpus["oracle_bleu_1"] == pytest.approx(1) and corpus["bleu_1"] < 1


def test_scoring_files_needs_no_keras():
    code = "import sys, captioner.stages.score; assert not {'keras', 'tensorflow', 'jax'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["scores.json", "per_image.csv"])
def test_results_of_others_are_not_replaced(files, name):
    (files / "out").mkdir()
    (files / "out" / name).write_text('{"mine": 1}')
    with pytest.raises(DataError, match=f"{name}: already exists and was not written by captioner evaluate"):
        run(files)
    (files / "out" / name).unlink()
    run(files)
    run(files)  # one's own are replaced
    (files / "out" / "scores.json.manifest.json").unlink()  # killed before the manifest
    run(files)


def test_a_missing_file_of_frequencies_is_named_alone(files):
    with pytest.raises(DataError, match=r"^nowhere: no such file"):
        run(files, config={"cider_df": "nowhere"})
