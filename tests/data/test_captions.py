import pytest

from captioner.data.captions import Captions
from captioner.storage import DataError


def test_a_split_is_its_ids_and_an_unknown_one_names_the_known() -> None:
    captions = Captions({"a": ("A dog",)}, splits={"train": ("a",), "dev": ()})
    assert captions.split("train") == ("a",)
    with pytest.raises(DataError, match=r"split 'test' is not in the data \(known: train, dev\)"):
        captions.split("test")
    with pytest.raises(DataError, match=r"\(known: none\)"):
        Captions({}).split("val")
