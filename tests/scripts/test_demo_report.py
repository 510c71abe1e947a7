import importlib
import json

import pytest


@pytest.fixture
def demo_report():
    return importlib.import_module("demo_report")


def test_shuffling_leaves_no_caption_in_its_place(demo_report):
    captions = {str(number): f"caption {number}" for number in range(5)}
    shuffled = demo_report.shuffle(captions)
    assert sorted(shuffled.values()) == sorted(captions.values())
    assert all(shuffled[image_id] != captions[image_id] for image_id in captions)


def test_the_report_shows_captions_references_and_both_scores(demo_report, tmp_path):
    words = ["red star", "blue car", "green house", "white fish"]
    texts = {f"p{number}": f"a big {word} floating in the night sky" for number, word in enumerate(words)}
    tokens = "".join(f"{name}.jpg#{number}\t{text}\n" for name, text in texts.items() for number in range(2))
    (tmp_path / "captions.txt").write_text(tokens, encoding="utf-8")
    predictions = [{"image_id": name, "caption": text} for name, text in texts.items()]
    (tmp_path / "predictions.json").write_text(json.dumps(predictions), encoding="utf-8")
    (tmp_path / "scores.json").write_text(json.dumps({"bleu_4": 1.0, "cider_d": 2.5}), encoding="utf-8")
    references = demo_report.read_references(tmp_path / "captions.txt")
    assert references["p1"] == [texts["p1"]] * 2

    text = demo_report.report(tmp_path, references, shown=2)
    assert f"p0  {texts['p0']}" in text and f"reference: {texts['p0']}" in text
    assert "cider_d  2.500" in text
    wrong = demo_report.bleu_4(demo_report.shuffle(texts), references)
    assert wrong < 0.7
    assert f"own pictures 1.000, beside shuffled pictures {wrong:.3f}" in text
