import pytest

from captioner.metrics.labels import describe, describe_intervals, label, show


@pytest.mark.parametrize(
    ("key", "value", "name", "text"),
    [
        ("bleu_4", 0.18824, "BLEU-4", "18.82"),
        ("cider_d", 0.4232, "CIDEr-D", "42.32"),
        ("rouge_l", 0.43, "ROUGE-L", "43.00"),
        ("meteor", 0.2, "METEOR", "20.00"),
        ("oracle_cider_d", 1.2, "oracle CIDEr-D", "120.00"),
        ("classic_bleu_1", 0.5, "CLASSIC-BLEU-1", "50.00"),
        ("vocabulary", 1225.0, "vocabulary", "1,225 words"),
        ("mean_length", 9.643, "length", "9.64 words"),
        ("distinct_1", 0.0233, "distinct-1", "0.0233"),
        ("novel", 0.839, "novel captions", "83.90 %"),
    ],
)
def test_scores_read_as_papers_write_them(key, value, name, text):
    assert (label(key), show(key, value)) == (name, text)


def test_one_line():
    assert describe({"bleu_1": 0.6, "cider_d": 0.5}) == "BLEU-1 60.00  CIDEr-D 50.00"


def test_a_table_with_intervals_where_there_are_some():
    text = describe_intervals({"bleu_4": 0.2, "vocabulary": 1225.0}, {"bleu_4": (0.19, 0.2111)}, 0.95)
    assert text.splitlines() == [
        "                  score  95 % interval",
        "BLEU-4            20.00  19.00 to 21.11",
        "vocabulary  1,225 words",
    ]
