import json

import pytest

from captioner.config import ConfigError
from captioner.metrics.scorer import METRICS, score
from captioner.storage import DataError, read_text
from captioner.text.ptb import tokenize
from tests.metrics.made_up import BLEU, CANDIDATES, CIDER_D, REFERENCES, ROUGE_L
from tests.shared import KNOWN_ANSWERS, needs_known_answers

RAW = {image_id: " ".join(words).capitalize() + " ." for image_id, words in CANDIDATES.items()}
RAW_REFERENCES = {
    image_id: ['"' + " ".join(words).upper() + '!"' for words in several] for image_id, several in REFERENCES.items()
}


def test_raw_text_is_tokenized_on_both_sides() -> None:
    scores = score(RAW, RAW_REFERENCES, ["bleu", "rouge", "cider"])
    for image_id, found in {"corpus": scores.corpus, **scores.per_image}.items():
        expected = dict(zip(["bleu_1", "bleu_2", "bleu_3", "bleu_4"], BLEU[image_id], strict=True))
        expected |= {"rouge_l": ROUGE_L[image_id], "cider_d": CIDER_D[image_id]}
        assert found == pytest.approx(expected, abs=1e-9)
    assert list(scores.per_image) == list(RAW)
    assert scores.notes == []


@pytest.mark.parametrize("name", [name for name in METRICS if name != "meteor"])
def test_every_metric_scores_alone_over_corpus_and_pictures(name: str) -> None:
    scores = score(RAW, RAW_REFERENCES, [name])
    assert all(part.keys() == scores.corpus.keys() for part in scores.per_image.values())
    assert all(type(value) is float for part in [scores.corpus, *scores.per_image.values()] for value in part.values())
    together = score(RAW, RAW_REFERENCES, ["bleu", "classic-bleu", "cider", "rouge"]).corpus
    assert scores.corpus == {key: together[key] for key in scores.corpus}


def test_diversity_is_of_all_captions_together() -> None:
    scores = score(RAW, RAW_REFERENCES, ["diversity", "bleu"], training=["Two dogs, dogs dogs!", "A cat"])
    assert scores.corpus["novel"] == 3 / 4 and scores.corpus["vocabulary"] == 15
    assert list(scores.per_image["a"]) == ["bleu_1", "bleu_2", "bleu_3", "bleu_4"]
    assert "novel" not in score(RAW, RAW_REFERENCES, ["diversity"]).corpus


def test_the_oracle_chooses_among_the_alternatives() -> None:
    worse = {**dict.fromkeys(RAW, "nothing at all"), "d": RAW["d"]}
    alone = score(RAW, RAW_REFERENCES, ["bleu", "cider"])
    scores = score(worse, RAW_REFERENCES, ["bleu", "cider", "oracle"], alternatives={k: [v] for k, v in RAW.items()})
    for key, value in alone.corpus.items():
        assert scores.corpus[f"oracle_{key}"] == pytest.approx(value)
        assert scores.per_image["a"][f"oracle_{key}"] == pytest.approx(alone.per_image["a"][key])
    assert scores.corpus["bleu_4"] == score(worse, RAW_REFERENCES, ["bleu"]).corpus["bleu_4"]


def test_an_oracle_needs_a_choice_and_another_metric() -> None:
    with pytest.raises(DataError, match="give n-best lists"):
        score(RAW, RAW_REFERENCES, ["bleu", "oracle"])
    with pytest.raises(ConfigError, match="add one of them"):
        score(RAW, RAW_REFERENCES, ["oracle"], alternatives={"a": ["x"]})


def test_document_frequencies_of_other_captions() -> None:
    source = {**RAW_REFERENCES, "e": ["The dog is green"], "f": ["A street"]}
    given = score(RAW, RAW_REFERENCES, ["cider"], cider_df=source)
    assert given.corpus != score(RAW, RAW_REFERENCES, ["cider"]).corpus
    assert score(RAW, RAW_REFERENCES, ["cider"], cider_df=RAW_REFERENCES) == score(RAW, RAW_REFERENCES, ["cider"])
    single = score({"a": RAW["a"]}, RAW_REFERENCES, ["cider"], cider_df=source)
    assert single.corpus["cider_d"] == pytest.approx(given.per_image["a"]["cider_d"]) and single.notes == []


def test_confidence_intervals_hold_the_score() -> None:
    scores = score(RAW, RAW_REFERENCES, ["bleu", "rouge", "diversity"], confidence=True)
    assert scores.intervals.keys() == {"bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l"}
    assert all(low <= scores.corpus[key] <= high for key, (low, high) in scores.intervals.items())
    assert score(RAW, RAW_REFERENCES, ["diversity"], confidence=True).intervals == {}


def test_the_one_letter_words_that_classic_rules_drop_count_in_bleu() -> None:
    references = {"a": ["A dog on a red bike"]}
    assert score({"a": "a dog on a red bike"}, references, ["bleu"]).corpus["bleu_4"] == pytest.approx(1)
    assert score({"a": "dog on red bike"}, references, ["bleu"]).corpus["bleu_4"] < 0.01
    assert score({"a": "dog on red bike"}, references, ["classic-bleu"]).corpus["classic_bleu_4"] == pytest.approx(1)


def test_references_without_a_candidate_do_not_count() -> None:
    more = {**RAW_REFERENCES, "z": ["A dog runs across the green grass"]}
    assert score(RAW, more, ["bleu", "cider"]) == score(RAW, RAW_REFERENCES, ["bleu", "cider"])


def test_a_candidate_without_references_is_named() -> None:
    with pytest.raises(DataError, match=r"2 of the 3 candidates have no references \(first: 'x'\)"):
        score({"a": "a dog", "x": "a cat", "y": "a cat"}, {"a": ["a dog"], "y": []}, ["bleu"])


def test_nothing_to_score_is_refused() -> None:
    with pytest.raises(DataError, match="no candidates"):
        score({}, RAW_REFERENCES, ["bleu"])


def test_an_unknown_metric_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'blue' is not known \(known: bleu, rouge, cider"):
        score(RAW, RAW_REFERENCES, ["bleu", "blue"])


def test_numbers_that_need_an_explanation_carry_a_note() -> None:
    notes = score({"a": "a dog"}, {"a": ["a dog"]}, ["cider", "classic-bleu"]).notes
    assert ["CIDEr-D" in notes[0], "inflated" in notes[1]] == [True, True]


@pytest.mark.slow
@needs_known_answers
def test_nlg_evals_example_gets_its_published_scores() -> None:
    hypotheses, *several = (
        read_text(KNOWN_ANSWERS / f"nlgeval_{name}.txt").splitlines() for name in ("hyp", "ref1", "ref2")
    )
    candidates = {str(number): text for number, text in enumerate(hypotheses)}
    references = {str(number): texts for number, texts in enumerate(zip(*several, strict=True))}
    assert score(candidates, references, ["bleu", "rouge", "cider"]).corpus == pytest.approx(
        {
            "bleu_1": 0.550000,
            "bleu_2": 0.428174,
            "bleu_3": 0.284043,
            "bleu_4": 0.201143,
            "rouge_l": 0.522104,
            "cider_d": 1.242192,
        },
        abs=1e-6,
    )


@pytest.mark.slow
@needs_known_answers
def test_coco_captions_get_the_reference_tools_tokens_and_scores() -> None:
    known = json.loads(read_text(KNOWN_ANSWERS / "oracle_fakecap126.json"))
    for side in ("gts", "res"):
        for image_id, texts in known[f"{side}_raw"].items():
            raw = texts if isinstance(texts, list) else [texts]
            assert [" ".join(tokenize(text)) for text in raw] == known[f"{side}_tokenized"][image_id]
    keys = {"Bleu_1": "bleu_1", "Bleu_2": "bleu_2", "Bleu_3": "bleu_3", "Bleu_4": "bleu_4"}
    keys |= {"ROUGE_L": "rouge_l", "CIDEr": "cider_d"}
    corpus = score(known["res_raw"], known["gts_raw"], ["bleu", "rouge", "cider"]).corpus
    assert corpus == pytest.approx({ours: known["scores"][theirs] for theirs, ours in keys.items()}, abs=1e-6)
