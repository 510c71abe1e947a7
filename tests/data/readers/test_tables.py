import contextlib
from pathlib import Path

import pytest

from captioner.data.readers.detect import read_data
from captioner.data.readers.tables import read_table
from captioner.storage import DataError


def write(folder: Path, text: str, name: str = "captions.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_a_table_may_quote_commas_and_quotes(tmp_path: Path) -> None:
    path = write(tmp_path, 'image,caption\na.jpg,"A dog, and a ""cat"" ."\na.jpg,A dog .\n"b, c.jpg",Two\n')
    assert read_table(path).references == {"a": ('A dog, and a "cat" .', "A dog ."), "b,%20c": ("Two",)}


def test_commas_in_a_last_column_need_no_quotes(tmp_path: Path) -> None:
    path = write(tmp_path, "image_name,comment_number,comment\na.jpg,0,A dog, a cat, and a bird\n")
    assert read_table(path).references == {"a": ("A dog, a cat, and a bird",)}


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    assert read_table(write(tmp_path, "split,Caption,Image\ntrain,A dog,a.jpg\n")).references == {"a": ("A dog",)}


def test_bars_may_part_the_columns(tmp_path: Path) -> None:
    # the last line stands so in the published Flickr30k file
    path = write(tmp_path, "image_name| comment_number| comment\n1.jpg| 0| A dog , a cat .\n2.jpg| 4   A dog runs .\n")
    assert read_table(path).references == {"1": ("A dog , a cat .",), "2": ("A dog runs .",)}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("image,caption\na.jpg,A dog\nb.jpg\n", "line 3 is not `image,caption`"),
        ("image,caption\na.jpg,\n", "line 2 is not"),
        ("image,caption\n,A dog\n", "line 2 is not"),
        ('image,caption\na.jpg,"A\ndog"\nb.jpg,"A cat\nc.jpg,A\n', "line 4 has a quote that does not close"),
        ("a b,A dog\n", "line 1 has no known column names"),
        ("image,caption\n", "contains no captions"),
        ("image_name| comment_number| comment\na.jpg| A dog\n", "line 2 is not"),
    ],
)
def test_a_broken_table_is_named_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(DataError, match=rf"captions\.txt: {fault}"):
        read_table(write(tmp_path, text))


def test_a_caption_over_two_lines_is_one(tmp_path: Path) -> None:
    assert read_table(write(tmp_path, 'image,caption\r\na.jpg,"A\r\ndog"\r\n')).references == {"a": ("A\ndog",)}


def test_a_unicode_line_end_in_a_cell_ends_no_row(tmp_path: Path) -> None:
    path = write(tmp_path, "image,caption\na.jpg,A\u2028dog\x0bruns\n")
    assert read_table(path).references == {"a": ("A\u2028dog\x0bruns",)}


@pytest.mark.parametrize("sign", ["\t", ";", "|"])
def test_other_signs_between_columns(tmp_path: Path, sign: str) -> None:
    path = write(tmp_path, f"file_name{sign}text\na.jpg{sign}A dog, a cat\nb.jpg{sign} Two dogs\n")
    assert read_table(path).references == {"a": ("A dog, a cat",), "b": ("Two dogs",)}


def test_several_columns_of_captions(tmp_path: Path) -> None:
    path = write(tmp_path, "image,caption_1,caption_2,Caption 3\na.jpg,A dog,The dog,\nb.jpg,A cat,,Cat\n")
    assert read_table(path).references == {"a": ("A dog", "The dog"), "b": ("A cat", "Cat")}


def test_a_list_in_a_cell_is_several_captions(tmp_path: Path) -> None:
    # as Flickr30k's flickr_annotations_30k.csv has them, and as pandas writes a list
    rows = ["raw,sentids,split,filename,img_id", '"[""A dog ."", ""The dog\'s ball .""]","[0, 1]",train,a.jpg,0']
    rows += ["\"['A cat', 'Two']\",[],val,b.jpg,1", "[sic],[],test,c.jpg,2"]
    captions = read_table(write(tmp_path, "\n".join(rows)))
    assert captions.references == {"a": ("A dog .", "The dog's ball ."), "b": ("A cat", "Two"), "c": ("[sic]",)}
    assert captions.splits == {"train": ("a",), "dev": ("b",), "test": ("c",)}


def test_a_picture_with_rows_in_two_splits_is_a_leak(tmp_path: Path) -> None:
    path = write(tmp_path, "image,caption,split\na.jpg,A dog,train\na.jpg,The dog,validation\n")
    with pytest.raises(DataError, match=r"captions\.txt: splits 'train' and 'dev' share 1 pictures \(first: 'a'\)"):
        read_table(path)


def test_absolute_paths_become_relative_to_their_common_folder(tmp_path: Path) -> None:
    path = write(tmp_path, "path,caption\n/home/me/pics/a.jpg,A dog\n/home/me/pics/sub/b.jpg,A cat\n")
    assert set(read_table(path).references) == {"a", "sub/b"}
    path = write(tmp_path, "path,caption\nC:\\pics\\x\\a.jpg,A dog\nC:\\pics\\y\\b.jpg,A cat\n")
    assert set(read_table(path).references) == {"x/a", "y/b"}
    path = write(tmp_path, "path,caption\n/pics/a.jpg,A dog\npics\\b.jpg,A cat\n./c.jpg,Two\n")
    assert set(read_table(path).references) == {"pics/a", "pics/b", "c"}


@pytest.mark.parametrize("line", ["a.jpg,a dog" + "," * 900_000, "a.jpg," + '"' * 900_000, "," * 900_000 + "\na.jpg,b"])
@pytest.mark.parametrize("header", ["image,caption", "image,caption" + "," * 900_000, "a" + ",a" * 400_000])
def test_rows_of_hundreds_of_thousands_of_columns_end_soon(tmp_path: Path, header: str, line: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\n{line}\n")
    with contextlib.suppress(DataError):
        assert set(read_data(path).references) == {"a"}


@pytest.mark.parametrize("rank", ["1" * 5000, "²", "-1", "1.5"])
def test_odd_ranks(tmp_path: Path, rank: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"image,rank,caption\na.jpg,{rank},a dog\n")
    assert read_data(path).references == {"a": ("a dog",)}


@pytest.mark.parametrize(
    "text",
    [
        "image_name| comment_number| comment\na.jpg| 0| A dog\nb.jpg| 1" + " " * 60_000 + "\n",
        "image_name| comment_number| comment\na.jpg| 0| A dog\nb.jpg" + " " * 60_000 + "\n",
        "image_name| comment_number| comment\na.jpg| 0| A dog\nb.jpg | 1 |" + " " * 60_000 + "|\n",
        "image,caption\nb.jpg,<" + " " * 60_000 + "x\n",
        "image,caption\nb.jpg,x" + " <s>" * 20_000 + "\n",
        "a.jpg,1" + " " * 60_000 + "x,foo\nb.jpg," + " " * 60_000 + "x,bar\n",
    ],
)
def test_a_long_row_takes_no_longer_for_each_letter(tmp_path: Path, text: str) -> None:
    path = tmp_path / "captions.csv"
    path.write_text(text)
    with contextlib.suppress(DataError):
        read_table(path)


def test_flickr30ks_rows_may_lack_their_second_bar_and_hold_blanks(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(
        "image_name| comment_number| comment\n a.jpg | 0 | A dog | runs\na.jpg| 4   A cat\na.jpg|12|  Two\n"
    )
    assert read_table(path).references == {"a": ("A dog | runs", "A cat", "Two")}


@pytest.mark.parametrize("sign", ["\t", "|"])
@pytest.mark.parametrize(
    ("rows", "captions"),
    [
        (('"a.jpg"{sign}"A dog runs"', '"b.jpg"{sign}"A ""big"" dog"'), ("A dog runs", 'A "big" dog')),
        (('"a.jpg"{sign}A 12" dog', '"b.jpg"{sign}"Hi" says the "dog"'), ('A 12" dog', '"Hi" says the "dog"')),
    ],
)
def test_quotes_around_names_are_no_part_of_them(
    tmp_path: Path, sign: str, rows: tuple[str, str], captions: object
) -> None:
    text = "\n".join(('"image"{sign}"caption"', *rows)).replace("{sign}", sign)
    found = read_table(write(tmp_path, text)).references
    assert found == {"a": (captions[0],), "b": (captions[1],)}


def test_frames_that_are_called_as_fractions_keep_their_names_in_lists_and_descriptions(tmp_path: Path) -> None:
    assert list(read_table(write(tmp_path, "image,caption\n0.0,A dog\n1.0,A cat\n")).references) == ["0", "1"]
    assert list(read_data(write(tmp_path, "0.0 a dog\n1.0 a cat\n")).references) == ["0.0", "1.0"]
    assert list(read_data(write(tmp_path, "image,caption\n0.0.jpg,A\n1.0.jpg,B\n")).references) == ["0.0", "1.0"]


def test_a_blank_cell_is_no_split(tmp_path: Path) -> None:
    text = "image,caption,split\na.jpg,A dog,train\nb.jpg,A cat,\nc.jpg,Two, \n"
    assert read_table(write(tmp_path, text)).splits == {"train": ("a",)}
