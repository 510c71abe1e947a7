from pathlib import Path

import numpy as np
import pytest

from captioner.data.captions import Captions
from captioner.data.unreadable import without_unreadable
from captioner.features.skipped import read_skipped, skipped_path, write_skipped
from captioner.features.store import FeatureStore, open_features, write_features
from captioner.storage import DataError

CAPTIONS = Captions(
    {f"p{number}": ("A dog",) for number in range(10)},
    splits={"train": tuple(f"p{number}" for number in range(8)), "dev": ("p8", "p9")},
)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Features of all pictures but p2 and p5."""
    path = tmp_path / "features.pkl"
    write_features(path, {f"p{n}": np.ones(3, np.float32) for n in range(10) if n not in (2, 5)}, None)
    return open_features(path)


def test_pictures_that_the_extraction_could_not_read_are_left_out(store: FeatureStore, said: list[str]) -> None:
    write_skipped(store.path, {"p2": "p2.jpg: broken", "p5": "p5.jpg: empty", "x": "x.jpg: empty"})
    found = without_unreadable(CAPTIONS, [store], 0.25)
    assert found.splits == {"train": ("p0", "p1", "p3", "p4", "p6", "p7"), "dev": ("p8", "p9")}
    assert found.references == CAPTIONS.references
    (line,) = said
    assert line.startswith("note: 2 of the 8 pictures of split train cannot be read and are left out; ")
    assert line.endswith(f"{skipped_path(store.path)} names them (first: 'p2')")
    with pytest.raises(DataError, match=r"2 of the 8 .* raise data\.max_unreadable \(0\.2\)"):
        without_unreadable(CAPTIONS, [store], 0.2)


def test_pictures_that_it_does_not_name_stay(store: FeatureStore) -> None:
    assert without_unreadable(CAPTIONS, [store], 1.0).splits == CAPTIONS.splits
    write_skipped(store.path, {"p5": "p5.jpg: empty"})
    assert "p2" in without_unreadable(CAPTIONS, [store], 1.0).splits["train"]


def test_a_file_that_names_no_pictures_is_refused(store: FeatureStore) -> None:
    assert read_skipped(store.path) == {}
    skipped_path(store.path).write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"features\.pkl\.skipped\.csv: cannot be read as image_id,reason"):
        read_skipped(store.path)
