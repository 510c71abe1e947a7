import pytest

from captioner.config import ConfigError
from captioner.metrics.config import CORPUS, EvaluationConfig, frequencies_of, require_choice, scoring_settings
from captioner.metrics.scorer import DEFAULT
from captioner.storage import DataError, digest_file


def test_one_caption_of_each_dev_picture_is_scored_unless_a_recipe_says_otherwise():
    assert EvaluationConfig() == EvaluationConfig("dev", DEFAULT, 1, "corpus", False)


def test_fewer_than_one_caption_a_picture_are_refused():
    with pytest.raises(ValueError, match="n must be 1 or more, found 0"):
        EvaluationConfig(n=0)


def test_oracle_needs_several_captions():
    with pytest.raises(ConfigError, match="oracle chooses among several captions per picture: give -n 5"):
        require_choice(EvaluationConfig(metrics=("bleu", "oracle")))
    require_choice(EvaluationConfig(metrics=("bleu", "oracle"), n=2))
    require_choice(EvaluationConfig(metrics=("bleu",)))


def test_scores_depend_on_the_metrics_the_number_the_frequencies_and_the_intervals():
    assert scoring_settings(EvaluationConfig(n=2, metrics=("bleu",))) == {
        "metrics": ["bleu"], "n": 2, "cider_df": "corpus", "confidence": False,
    }  # fmt: skip


def test_frequencies_of_other_captions_are_known_by_the_content_of_their_file(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_text("a.jpg#0\tA dog runs .\n")
    found = scoring_settings(EvaluationConfig(cider_df=str(path), confidence=True))
    assert (found["cider_df"], found["confidence"]) == (digest_file(path), True)
    assert frequencies_of(str(path)) == {"a": ("A dog runs .",)}
    assert frequencies_of(CORPUS) is None
    with pytest.raises(DataError, match=r"none\.txt: no such file"):
        scoring_settings(EvaluationConfig(cider_df=str(tmp_path / "none.txt")))
