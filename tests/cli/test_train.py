import pickle
from pathlib import Path

import pytest

from captioner.features.skipped import write_skipped


def leave_out(image_id: str) -> None:
    """Take a picture out of features.pkl, as an extraction does that cannot read it."""
    rows = pickle.loads(Path("features.pkl").read_bytes())
    del rows[image_id]
    Path("features.pkl").write_bytes(pickle.dumps(rows))
    Path("features.pkl.manifest.json").unlink()
    write_skipped(Path("features.pkl"), {image_id: f"{image_id}.png: broken"})


@pytest.mark.slow
def test_a_picture_that_cannot_be_read_is_left_out_and_said_once(call, untrained):
    leave_out("p03")
    result = call("train", "--set", "data.max_unreadable=0.1", "-o", "runs/few")
    assert result.code == 0, result.err
    assert result.err.count("cannot be read") == 1
    assert "training on 11 pictures" in result.err


def test_more_pictures_than_may_be_left_out_are_refused_before_training(refused, untrained):
    leave_out("p03")
    words = ["1 of the 12 pictures of split train cannot be read", "data.max_unreadable (0.05)"]
    refused(1, words, "train", "-c", "captioner.yaml", "-o", "runs/few")
