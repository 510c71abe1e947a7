from pathlib import Path

import pytest

from captioner.config import ConfigError
from captioner.data.readers import READERS, detect_format, read_captions
from captioner.storage import DataError

FILES = {
    "flickr": "a.jpg#0\tA dog, a cat\n",
    "csv": 'image,caption\na.jpg,"A dog, a cat"\n',
    "coco": '{"annotations": [{"image_id": "a", "caption": "A dog, a cat"}]}',
    "descriptions": "a A dog, a cat\n",
}


@pytest.mark.parametrize("name", READERS)
def test_every_form_is_told_by_its_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / "captions"
    path.write_text(FILES[name], encoding="utf-8")
    assert detect_format(path) == name
    assert read_captions(path) == read_captions(path, name) == {"a": ("A dog, a cat",)}


def test_bars_are_a_table_and_blank_lines_at_the_top_say_nothing(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("image_name| comment_number| comment\na.jpg| 0| A dog\n")
    assert detect_format(path) == "csv"
    path.write_text("\n\na.jpg#0\tA dog\n")
    assert read_captions(path) == {"a": ("A dog",)}


@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff"])
@pytest.mark.parametrize("name", ["auto", *READERS])
def test_an_empty_file_is_refused(tmp_path: Path, content: str, name: str) -> None:
    path = tmp_path / "captions.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"captions\.txt: "):
        read_captions(path, name)


def test_a_missing_file_and_an_unknown_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_captions(tmp_path / "none.txt")
    with pytest.raises(ConfigError, match=r"'tsv' is not known .*auto, flickr, csv"):
        read_captions(tmp_path / "none.txt", "tsv")
