import pytest

from captioner.training.advice import FEW, about_captions, about_data, describe_beside


def test_enough_pictures_need_no_note():
    assert about_data(FEW, 20, 64, 1) == []


@pytest.mark.parametrize(("passes", "times"), [(1, "once"), (2, "twice"), (3, "3 times")])
def test_few_training_pictures_are_noted_with_what_an_epoch_does(passes, times):
    [note] = about_data(FEW - 1, 20, 8, passes)
    assert note.startswith("999 training pictures are few")
    assert note.endswith(f"An epoch goes over them {times}, in batches of 8")


def test_few_dev_pictures_are_noted():
    [note] = about_data(FEW, 19, 64, 1)
    assert note.startswith("19 dev pictures are few")


@pytest.mark.parametrize(
    ("distinct", "dev", "words"),
    [
        (0, 5, ["every dev caption is empty"]),
        (1, 5, ["all 5 dev captions are the same"]),
        (1, 1, []),
        (2, 5, []),
    ],
)
def test_captions_that_say_nothing_are_noted(distinct, dev, words):
    notes = about_captions({"distinct": float(distinct)}, dev)
    assert len(notes) == len(words) and all(note.startswith(word) for note, word in zip(notes, words, strict=True))


@pytest.mark.parametrize(
    ("theirs", "verdict"), [(0.4, "the model is better"), (0.5, "the model is no better: it needs more pictures")]
)
def test_the_baseline_is_named_beside_the_score(theirs, verdict):
    assert describe_beside(0.5, theirs, 0.1) == (
        f"dev CIDEr-D 50.0; captions copied from the most similar training pictures score {100 * theirs:.1f} "
        f"({verdict}); the model's captions, assigned to the wrong pictures, score 10.0"
    )
