import json
import re
import shutil

import pytest

from captioner.config import ConfigError
from captioner.report.run import report_run
from captioner.storage import DataError, write_manifest
from tests.messages import listening
from tests.report.project import PICTURES, TRAINED_ON, make_run


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path)


def report(run, **options):
    lines = []
    with listening(lines.append):
        page = report_run(run, shown=options.pop("shown", 100), **options)
    text = page.read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    return page, text, data, lines


def test_a_page_holds_everything_and_asks_for_nothing(run):
    page, text, data, said = report(run)
    assert page == run / "report.html" and said == []
    assert not re.search(r"""(?:src|href|url\()\s*=?\s*["']?(?:https?:)?//""", text)
    assert "default-src 'none'" in text
    assert [picture["id"] for picture in data["pictures"]] != sorted(picture["id"] for picture in data["pictures"])
    ranks = [picture["scores"]["cider_d"] for picture in data["pictures"]]
    assert len(ranks) == PICTURES and ranks == sorted(ranks, reverse=True)
    assert all(picture["source"].startswith("data:image/jpeg;base64,") for picture in data["pictures"])
    assert data["rankedBy"] == "cider_d" and data["labels"]["cider_d"] == "CIDEr-D"
    for words in ("tiny", "vgg16 pool", "13 minutes", "epoch 4, whose weights were kept", "95 % confidence interval"):
        assert words in text


def test_the_training_pictures_most_like_a_picture_are_shown_with_what_people_said_of_them(run):
    _, _, data, _ = report(run)
    by_id = {picture["id"]: picture for picture in data["pictures"]}
    # p12 is a red box as p04 is; of the others p00 has its colour, p05 its shape
    assert by_id["p12"]["nearest"][0]["id"] == "p04"
    assert by_id["p12"]["nearest"][0]["similarity"] == pytest.approx(1, abs=1e-3)
    assert by_id["p12"]["nearest"][0]["captions"][0] == "A red box ."
    assert {"p04", "p00"} <= data["neighbours"].keys() <= set(TRAINED_ON)
    assert all(picture["source"].startswith("data:image/jpeg") for picture in data["neighbours"].values())
    # "a grey ball" is said of p03, "a grey box" and "a green thing" of no training picture
    assert [(by_id[name]["caption"], by_id[name]["copies"]) for name in ("p11", "p07", "p00")] == [
        ("a grey ball", 1),
        ("a grey box", 0),
        ("a green thing", 0),
    ]


def test_without_the_training_data_the_page_says_so_and_is_written(run):
    (run.parents[1] / "train.txt").unlink()
    _, _, data, said = report(run)
    assert len(said) == 1 and "does not show the nearest training pictures" in said[0]
    assert data["neighbours"] == {} and "nearest" not in data["pictures"][0]


def test_captions_cannot_break_out_of_the_page(run):
    _, text, data, _ = report(run)
    assert "</script> ." in data["pictures"][0]["references"][1]
    assert text.count("</script>") == 2


def test_only_the_best_and_the_worst_of_many_are_shown(run):
    _, text, data, _ = report(run, shown=4)
    _, _, whole, _ = report(run)
    ids = [picture["id"] for picture in whole["pictures"]]
    assert [picture["id"] for picture in data["pictures"]] == [*ids[:2], *ids[-2:]]
    assert f"The best 2 and the worst 2 of {PICTURES} pictures" in text


def test_intervals_that_the_evaluation_drew_are_shown_as_they_are(run):
    scores = json.loads((run / "scores.json").read_text())
    scores["confidence"] = {"level": 0.95, "resamples": 1000, "intervals": {"bleu_4": [0.1234, 0.5678]}}
    (run / "scores.json").write_text(json.dumps(scores))
    _, text, _, _ = report(run)
    assert "12.34 – 56.78" in text and text.count(" – ") == 1


def test_pictures_that_are_not_there_leave_the_words(run):
    shutil.rmtree(run.parents[1] / "images")
    _, _, data, said = report(run)
    assert len(said) == 1 and "name the folder with --images" in said[0]
    assert not any("source" in picture for picture in data["pictures"]) and len(data["pictures"]) == PICTURES


def test_captions_scored_elsewhere_need_their_references(run, tmp_path):
    (run / "config.yaml").unlink()
    (run / "history.csv").unlink()
    (run / "manifest.json").unlink()
    with pytest.raises(ConfigError, match="-R: missing"):
        report(run)
    _, text, data, _ = report(run, references=[tmp_path / "captions.txt"], images=tmp_path / "images")
    assert "training-title" not in text
    assert all("source" in picture for picture in data["pictures"])


def test_results_may_lie_elsewhere(run, tmp_path):
    (run / "scores.json").rename(tmp_path / "scores.json")
    (run / "per_image.csv").rename(tmp_path / "per_image.csv")
    (run / "scores.json.manifest.json").rename(tmp_path / "scores.json.manifest.json")
    with pytest.raises(DataError, match=r"tiny: has no scores\.json; captioner evaluate .*tiny makes it"):
        report(run)
    assert report(run, evaluation=tmp_path, output=tmp_path / "page.html")[0] == tmp_path / "page.html"


def test_references_of_other_pictures_are_refused(run, tmp_path):
    (tmp_path / "other.txt").write_text("x.jpg#0\tA dog .\n")
    with pytest.raises(DataError, match="14 of 14 pictures have no references, first 'p00'; name the captions"):
        report(run, references=[tmp_path / "other.txt"])


def test_scores_that_rank_no_picture_are_refused(run):
    rows = [line.split(",") for line in (run / "per_image.csv").read_text().splitlines()]
    (run / "per_image.csv").write_text("\n".join(f"{row[0]},{row[-1]}" for row in rows))
    with pytest.raises(DataError, match="evaluate with --metrics cider"):
        report(run)


def test_a_captioner_that_cannot_be_loaded_costs_the_attention_only(run, tmp_path):
    (tmp_path / "features.pkl").unlink()
    write_manifest(run / "scores.json", "evaluate")  # of an older captioner: it may have attention
    (run / "captioner.keras").write_text("broken")
    asked = []

    def load(path):
        asked.append(path)
        raise DataError(f"{path}: broken")

    _, _, _, said = report(run, load=load)
    assert asked == [] and "features.pkl: no such file" in said[0]  # the features come first, without Keras
    assert said[0].startswith("note: the page has no attention maps: ")
