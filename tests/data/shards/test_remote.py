import pytest

from captioner.data.shards.remote import ENDS, fingerprint, local_copy, needs_fsspec, reason
from captioner.storage import DataError


@pytest.mark.parametrize(
    ("address", "needs"),
    [("/data/train", False), ("file:///data/train", False), ("gs://bucket/train", False), ("s3://bucket/train", True)],
)
def test_what_tensorflow_opens_itself_needs_no_fsspec(address, needs):
    assert needs_fsspec(address) is needs


def test_a_file_of_this_machine_is_not_copied(tmp_path):
    assert local_copy("/data/train-00000-of-00001", tmp_path) == "/data/train-00000-of-00001"
    assert local_copy("file:///data/train-00000-of-00001", tmp_path) == "/data/train-00000-of-00001"
    assert not list(tmp_path.iterdir())


def test_a_fingerprint_tells_size_beginning_and_end_apart(tmp_path):
    content = bytes(3 * ENDS)
    others = [content + b"\0", b"\1" + content[1:], content[:-1] + b"\1"]
    prints = []
    for number, one in enumerate([content, content, *others, b"", b"short"]):
        (tmp_path / str(number)).write_bytes(one)
        prints.append(fingerprint(str(tmp_path / str(number))))
    assert prints[0] == prints[1]
    assert len(set(prints[1:])) == len(prints) - 1


def test_a_shard_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none: cannot be read \(.+\); make the shard again"):
        fingerprint(str(tmp_path / "none"))


def test_the_reason_is_one_line():
    assert reason(ValueError("first\nsecond")) == "first"
    assert reason(ValueError()) == "ValueError"
