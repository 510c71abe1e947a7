"""Files as the world has them: what each kind of oddity is read as, or refused for."""

import bz2
import codecs
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from captioner.data.readers.detect import read_data
from captioner.data.readers.predictions import read_predictions
from captioner.data.splits import read_split
from captioner.storage import DataError

TWO = {"a": ("A dog runs",), "b": ("A cat",)}


def read(folder: Path, content: str | bytes) -> dict[str, tuple[str, ...]]:
    path = folder / "captions"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return dict(read_data(path).references)


@pytest.mark.parametrize("sign", ["\t", ",", ";", "|"])
@pytest.mark.parametrize(
    "before", ["", "\n\n", "# made in 2020\n", "// made in 2020\n", "sep={sign}\n", "\n# x\n\nsep={sign}\n"]
)
@pytest.mark.parametrize(
    "header", ["image{sign}caption\n", "Image File{sign}Caption Text\n", '"imageId"{sign}"TEXT"\n', ""]
)
def test_a_table_is_known_by_its_header_or_by_its_pictures(tmp_path: Path, sign: str, before: str, header: str) -> None:
    text = (before + header).replace("{sign}", sign) + f"a.jpg{sign}A dog runs\nb.JPG{sign}A cat\n"
    assert read(tmp_path, text) == TWO


@pytest.mark.parametrize(
    "text",
    [
        "# image,caption\na.jpg,A dog runs\nb.jpg,A cat\n",  # a header that is a comment
        "a.jpg,0,A dog runs\nb.jpg,12,A cat\n",
        "A dog runs\thttp://example.com/x/a.jpg\nA cat\thttp://example.com/x/b.jpg?w=300\n",
        "train,a.jpg,A dog runs\ntrain,b.jpg,A cat\n",
        '"a.jpg","A dog runs"\n"b.jpg","A cat"\n',
        "a.jpg#0\tA dog runs\nb.jpg#0\tA cat\n",
        "# made in 2020\na.jpg#0\tA dog runs\n# more\nb.jpg#0\tA cat\n",
        "a A dog runs\nb A cat\n",
        "a\tA dog runs\nb\tA cat\n",
        "# made in 2020\na A dog runs\nb A cat\n",
        "image,caption\na.jpg,A dog runs\nimage,caption\nb.jpg,A cat\n",  # files put together
        "image,caption,,\na.jpg,A dog runs,,\nb.jpg,A cat,,\n",  # cells that a spreadsheet adds
        "ID\tCaption\na\tA dog runs\nb\tA cat\n",
    ],
)
def test_other_tables(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == TWO


def test_blanks_and_delimiters_in_a_table_without_header(tmp_path: Path) -> None:
    assert read(tmp_path, "my dog.jpg\tA dog, a cat\nb.jpg\tA cat\n") == {
        "my%20dog": ("A dog, a cat",),
        "b": ("A cat",),
    }
    text = "a.jpg,A dog, a cat, a bird\nb.jpg,A cat\n"
    assert read(tmp_path, text) == {"a": ("A dog, a cat, a bird",), "b": ("A cat",)}
    assert read(tmp_path, "a.jpg| 0| A dog\nb.jpg| 1| A cat\n") == {"a": ("A dog",), "b": ("A cat",)}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "Bild,Beschreibung\na.jpg,A dog\n",
            "line 1 has no known column names; add a header line with names such",
        ),
        ("Bild;Beschreibung\n17;A dog\n18;A cat\n", "line 1 has no known column names"),
        ("\n\nBild\tBeschreibung\n17\tA dog\n18\tA cat\n", "line 3 has no known column names"),
        ("17|A dog|x\n18|A cat|y\n", "line 1 has no known column names"),
        ("a.jpg,A dog,Ein Hund\nb.jpg,A cat,Eine Katze\n", "line 1 has no known column names"),  # which is the caption?
        ("sep=;\nx;y\n1;2\n", "has no known column names"),
        ("A dog runs\nThe cat sleeps\nTwo birds\n", r"lines are captions without image_ids .*--parallel"),
        ("image,caption\na.jpg,[1, 2]\nb.jpg,\"['x', 3]\"\n", "line 3 has a list of numbers"),
        ('["A dog", "A cat"]', r"entry 1 has no .*--parallel"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(DataError, match=fault) as error:
        read(tmp_path, text)
    assert "captions" in str(error.value) and "\n" not in str(error.value)


FORMS = {
    "flickr": "a.jpg#0\tA dog runs\nb.jpg#0\tA cat\n",
    "csv": "image,caption\na.jpg,A dog runs\nb.jpg,A cat\n",
    "tsv": "image\tcaption\na.jpg\tA dog runs\nb.jpg\tA cat\n",
    "lines": '{"image": "a", "caption": "A dog runs"}\n{"image": "b", "caption": "A cat"}\n',
    "list": '[{"image": "a", "caption": "A dog runs"},\n{"image": "b", "caption": "A cat"}]',
    "coco": '{"annotations":\n[{"image_id": "a", "caption": "A dog runs"}, {"image_id": "b", "caption": "A cat"}]}',
    "object": '{"a": "A dog runs",\n"b": ["A cat"]}',
    "descriptions": "a A dog runs\nb A cat\n",
}
ENCODINGS = {
    "utf-8": "utf-8",
    "utf-8 with a mark": "utf-8-sig",
    "utf-16 with a mark": "utf-16",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
    "utf-32 with a mark": "utf-32",
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize("form", FORMS)
def test_line_ends_and_encodings_are_read_alike_in_every_form(
    tmp_path: Path, form: str, end: str, encoding: str
) -> None:
    assert read(tmp_path, FORMS[form].replace("\n", end).encode(ENCODINGS[encoding])) == TWO


def test_line_ends_may_be_mixed_and_marks_within(tmp_path: Path) -> None:
    assert read(tmp_path, "image,caption\r\na.jpg,A dog runs\rb.jpg,A cat\n") == TWO
    assert read(tmp_path, "image,caption\na.jpg,A dog runs\n\ufeffimage,caption\nb.jpg,A cat\n") == TWO
    big_endian = codecs.BOM_UTF16_BE + FORMS["csv"].encode("utf-16-be")
    assert read(tmp_path, big_endian) == TWO


@pytest.mark.parametrize("form", ["flickr", "csv", "tsv", "lines", "descriptions"])
@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e"])
def test_what_unicode_takes_for_a_line_end_ends_no_line(tmp_path: Path, form: str, sign: str) -> None:
    shown = json.dumps(sign)[1:-1] if form == "lines" else sign
    text = FORMS[form].replace("dog runs", f"dog{shown}runs")
    assert read(tmp_path, text) == {"a": (f"A dog{sign}runs",), "b": ("A cat",)}


@pytest.mark.parametrize("form", FORMS)
def test_a_zero_byte_is_named_by_its_line(tmp_path: Path, form: str) -> None:
    with pytest.raises(DataError, match=r"captions: line \d contains a zero byte"):
        read(tmp_path, FORMS[form].replace("A cat", "A \0cat"))


def test_text_in_another_encoding_is_named_by_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2 is not UTF-8; save the file as UTF-8"):
        read(tmp_path, "image,caption\ra.jpg,caf\xe9\r".encode("latin-1"))
    with pytest.raises(DataError, match=r"line 3 is not UTF-16-LE"):
        read(tmp_path, codecs.BOM_UTF16_LE + FORMS["csv"].encode("utf-16-le")[:-1])


@pytest.mark.parametrize(
    ("caption", "kept"),
    [
        ('"Stop" says a sign .', '"Stop" says a sign .'),
        ('"Stop says a sign .', '"Stop says a sign .'),
        ('A 5" pipe', 'A 5" pipe'),
        ('The sign says "', 'The sign says "'),
        ('"A ""big"" dog"', 'A "big" dog'),
        ('"A dog, a cat"', "A dog, a cat"),
    ],
)
def test_quotes_between_tabs(tmp_path: Path, caption: str, kept: str) -> None:
    text = f"image\tcaption\na.jpg\tA dog\nb.jpg\t{caption}\nc.jpg\tA cat\n"
    assert read(tmp_path, text) == {"a": ("A dog",), "b": (kept,), "c": ("A cat",)}


def test_a_quote_between_tabs_never_swallows_rows(tmp_path: Path) -> None:
    text = 'image\tcaption\na.jpg\t"Stop says a sign .\nb.jpg\tA dog .\nc.jpg\tThe sign says "\nd.jpg\tA bird .\n'
    assert list(read(tmp_path, text)) == ["a", "b", "c", "d"]
    text = 'image\tcaption\na.jpg\t"A dog\nthat runs"\nb.jpg\t"A ""cat"""\n'
    assert read(tmp_path, text) == {"a": ("A dog\nthat runs",), "b": ('A "cat"',)}


@pytest.mark.parametrize("sign", [",", ";"])
@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ('a.jpg,"Stop .\nb.jpg,A dog .\nc.jpg,It says "\nd.jpg,A bird\n', "line 2 opens a quote that closes in line 4"),
        ('17,"Stop says .\n18,A dog .\n19,It says "\n20,A bird .\n', "line 2 opens a quote that closes in line 4"),
        ('a.jpg,"Stop" says a sign\n', "line 2 has text after a closing quote"),
        ('a.jpg,A dog\nb.jpg,"A cat\n', "line 3 has a quote that does not close"),
        ('a.jpg,"' + "A dog " * 30000 + '"\n', "line 2 begins a cell of more than 131,072 characters"),
    ],
)
def test_a_quote_in_csv_that_goes_wrong_is_named(tmp_path: Path, sign: str, rows: str, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        read(tmp_path, f"image,caption\n{rows}".replace(",", sign))


def test_a_caption_over_lines_with_commas_is_no_row(tmp_path: Path) -> None:
    text = 'image,caption\na.jpg,"A dog, brown\nand white, runs"\nb.jpg,A cat\n'
    assert read(tmp_path, text) == {"a": ("A dog, brown\nand white, runs",), "b": ("A cat",)}


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([{"caption": ["a", "dog"]}, {"caption": ["a", "cat", "sleeps"]}], [("a dog",), ("a cat sleeps",)]),
        ([{"captions": [["a", "dog"], ["a", "cat"]]}], [("a dog", "a cat")]),
        ([{"tokens": ["a", "dog"]}], [("a dog",)]),
        ([{"tokens": [["a", "dog"], ["dogs"]]}], [("a dog", "dogs")]),
        ([{"captions": ["a dog", "dogs"]}, {"captions": ["cat", "cats"]}], [("a dog", "dogs"), ("cat", "cats")]),
        ([{"caption": ["dog"]}], [("dog",)]),
        ([{"caption": ["一个男人在街上跑步", "一名男子在奔跑着呢"]}], [("一个男人在街上跑步", "一名男子在奔跑着呢")]),
        ([{"caption": ["一个", "男人", "跑"]}], [("一个男人跑",)]),
        ([{"captions": [{"caption": "a dog"}, {"raw": "dogs"}]}], [("a dog", "dogs")]),
    ],
)
def test_a_list_is_words_or_captions(tmp_path: Path, records: list[dict[str, object]], expected: list[object]) -> None:
    lines = [json.dumps({"image": f"{number}.jpg", **record}) for number, record in enumerate(records)]
    assert list(read(tmp_path, "\n".join(lines)).values()) == expected
    assert list(read(tmp_path, json.dumps([json.loads(line) for line in lines])).values()) == expected
    if all("caption" in record for record in records):
        annotations = [{"image_id": number, **record} for number, record in enumerate(records)]
        assert list(read(tmp_path, json.dumps({"annotations": annotations})).values()) == expected


@pytest.mark.parametrize("written", ["['a', 'dog', 'runs']", '["a", "dog", "runs"]', "[['a', 'dog', 'runs']]"])
def test_a_list_of_words_in_a_cell(tmp_path: Path, written: str) -> None:
    cell = written.replace('"', '""')
    assert read(tmp_path, f'image,caption\na.jpg,"{cell}"\n') == {"a": ("a dog runs",)}


@pytest.mark.parametrize("value", [5, True, [1, 2], [None], [["a", 3]], [{"score": 1}]])
def test_a_caption_that_is_no_text_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(DataError, match="entry 1: the `image` or the `caption` is not text"):
        read(tmp_path, json.dumps([{"image": "a.jpg", "caption": value}]))


PREDICTED = {"42": "a man", "73": "a dog"}


@pytest.mark.parametrize(
    "text",
    [
        "42 a man\n73 a dog\n",
        "42\ta man\n73\ta dog\n",
        "42.jpg\ta man\n73.jpg\ta dog\n",
        "image_id,caption\n42,a man\n73,a dog\n",
        "image_id,reference,prediction\n42,The man,a man\n73,The dog,a dog\n",
        "image_id;caption\n42.0;a man\n73.0;a dog\n",
        '{"42": "a man", "73": "a dog"}',
        '{"42": ["a man"], "73": ["a dog"]}',
        '{"42": [{"caption": "a man"}], "73": [{"caption": "a dog"}]}',
        '{"42": {"caption": "a man"}, "73": {"caption": "a dog"}}',
        '{"42": "a man"}\n{"73": "a dog"}\n',
        '[{"image_id": 42, "caption": "a man"}, {"image_id": "73", "caption": "a dog"}]',
        '[{"image_id": 42.0, "caption": "a man"}, {"image_id": "000000000073", "caption": "a dog"}]',
        '[{"img_id": 42, "prediction": ["a man"]}, {"img_id": 73, "prediction": ["a dog"]}]',
        '[{"imgId": 42, "hypothesis": "a man"}, {"imgId": 73, "hypothesis": "a dog"}]',
        '[[42, "a man"], ["73.jpg", ["a dog"]]]',
        '{"predictions": [{"image_id": 42, "caption": "a man"}, {"image_id": 73, "caption": "a dog"}]}',
        '{"image_id": 42, "caption": "a man"}\n{"image_id": 73, "caption": "a dog"}\n',
        '{"annotations": [{"image_id": 42, "caption": "a man"}, {"image_id": 73, "caption": "a dog"}]}',
        '[{"file": "42.jpg", "captions": [{"caption": "a man", "log_prob": -1.0}, {"caption": "men", "log_prob": -2}]},'
        ' {"file": "73.jpg", "captions": [{"caption": "a dog", "log_prob": -1.0}]}]',
        "file,rank,caption,log_prob,annotated\n42.jpg,2,men,-2,42.jpg\n42.jpg,1,a man,-1,x\n73.jpg,1,a dog,-1,x",
        '[{"image_id": 42, "caption": "a man", "alternatives": [{"caption": "men"}]},'
        ' {"image_id": 73, "caption": "a dog"}]',
        "42 <start> a man <end>\n73 <start> a dog\n",
    ],
)
def test_predictions_in_every_form(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p"
    path.write_text(text)
    assert read_predictions(path) == PREDICTED


@pytest.mark.parametrize(
    "text",
    [
        "42 a man\n73\n",
        "42\ta man\n73\t\n",
        "image_id,caption\n42,a man\n73,\n",
        '{"42": "a man", "73": ""}',
        '{"42": ["a man"], "73": []}',
        '[{"image_id": 42, "caption": "a man"}, {"image_id": 73, "caption": null}]',
    ],
)
def test_a_prediction_may_be_blank(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p"
    path.write_text(text)
    assert read_predictions(path) == {"42": "a man", "73": ""}


HEADS = {
    "x.parquet": (b"PAR1\x15\x04", "Parquet table; pandas.read_parquet"),
    "x.xlsx": (
        b"PK\x03\x04\x14\0[Content_Types].xml...xl/workbook.xml",
        r"Excel workbook \(.xlsx\); save the",
    ),
    "x.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", r"old Excel workbook \(.xls\)"),
    "x.zip": (b"PK\x03\x04\x14\0captions.txt", "a zip archive; unpack it"),
    "x.feather": (b"ARROW1\0\0", "Feather table"),
    "x.npy": (b"\x93NUMPY\x01\0", "NumPy array"),
    "x.pkl": (b"\x80\x04\x95", "a pickle"),
    "x.jpg": (b"\xff\xd8\xff\xe0", "a picture, not captions"),
    "x.db": (b"SQLite format 3\0", "SQLite database"),
}


@pytest.mark.parametrize("pack", [gzip, bz2, lzma])
def test_a_packed_table_is_called_that(tmp_path: Path, pack: Any) -> None:
    (tmp_path / "captions").write_bytes(pack.compress(b"image,caption\na.jpg,A dog\n"))
    with pytest.raises(
        DataError, match=rf"compressed with {pack.__name__.replace('bz2', 'bzip2').replace('lzma', 'xz')}"
    ):
        read_data(tmp_path / "captions")


def test_pictures_with_captions_beside_their_names_are_records(tmp_path: Path) -> None:
    images = [{"file_name": "a.jpg", "caption": "A dog runs"}, {"file_name": "b.jpg", "caption": "A cat"}]
    assert read(tmp_path, json.dumps({"info": {"description": "x"}, "images": images})) == TWO


@pytest.mark.parametrize("name", HEADS)
def test_files_of_other_kinds_are_called_what_they_are(tmp_path: Path, name: str) -> None:
    head, fault = HEADS[name]
    (tmp_path / name).write_bytes(head)
    with pytest.raises(DataError, match=fault):
        read_data(tmp_path / name)


@pytest.mark.parametrize(
    "text",
    [
        "a.jpg: A dog runs\nb.jpg: A cat\n",
        "a.jpg=A dog runs\nb.jpg=A cat\n",
        "a.jpg -> A dog runs\nb.jpg -> A cat\n",
        '"a.jpg" "A dog runs"\n"b.jpg" "A cat"\n',
        "'a.jpg' A dog runs\n'b.jpg' A cat\n",
        "a: A dog runs\nb: A cat\n",
        "image_id caption\na A dog runs\nb A cat\n",
        "| image | caption |\n|---|:--|\n| a.jpg | A dog runs |\n| b.jpg | A cat |\n",
        "\\\\host\\share\\a.jpg A dog runs\n\\\\host\\share\\b.jpg A cat\n",
        "//host/share/a.jpg A dog runs\n//host/share/b.jpg A cat\n",
        "// made by hand\n//host/share/a.jpg,A dog runs\n//host/share/b.jpg,A cat\n",
        "a.jpg#0 A dog runs\nb.jpg#0 A cat\n",
    ],
)
def test_lines_that_begin_with_a_file_name_in_other_ways(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == TWO


def test_a_name_with_blanks_ends_where_its_extension_does(tmp_path: Path) -> None:
    text = "my dog.jpg A dog runs\nmy cat.PNG A cat\n"
    assert read(tmp_path, text) == {"my%20dog": ("A dog runs",), "my%20cat": ("A cat",)}
    kept = "1 A dog and x.jpg\n2 A cat\n"
    assert read(tmp_path, kept) == {"1": ("A dog and x.jpg",), "2": ("A cat",)}
    assert read(tmp_path, "a.jpg :) A dog\nb.jpg A cat\n") == {"a": (":) A dog",), "b": ("A cat",)}


def test_a_pointer_of_git_lfs_is_called_that(tmp_path: Path) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    with pytest.raises(DataError, match=r"Git LFS pointer, .*git lfs pull"):
        read(tmp_path, text)
    with pytest.raises(DataError, match=r"Git LFS pointer, .*git lfs pull"):
        read_split(tmp_path / "captions")
