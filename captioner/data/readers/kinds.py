"""Kinds of files that cannot be read as captions: how each is recognized by its first bytes, and what to do."""

from __future__ import annotations

LFS_POINTER = b"version https://git-lfs"

# (first bytes, what the file is and what to do). Several kinds are zip archives; see below.
_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "a Parquet table; pandas.read_parquet(FILE).to_csv('captions.csv', index=False) makes a csv of it"),
    (b"ARROW1", "an Arrow or Feather table; pandas.read_feather(FILE).to_csv('captions.csv', index=False) makes a csv"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls) or Word document; save the sheet as csv"),
    (b"SQLite format 3\0", "an SQLite database; export its table of captions as csv"),
    (b"\x93NUMPY", "a NumPy array; write its captions as lines `image_id caption`"),
    (b"\x80\x02", "a pickle; write its captions as JSON: {image_id: [caption, ...]}"),
    (b"\x80\x03", "a pickle; write its captions as JSON: {image_id: [caption, ...]}"),
    (b"\x80\x04", "a pickle; write its captions as JSON: {image_id: [caption, ...]}"),
    (b"\x80\x05", "a pickle; write its captions as JSON: {image_id: [caption, ...]}"),
    (b"%PDF", "a PDF document; name a caption file"),
    (b"\xff\xd8\xff", "a picture, not captions; name a caption file"),
    (b"\x89PNG", "a picture, not captions; name a caption file"),
    (b"GIF8", "a picture, not captions; name a caption file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it and name the caption file in it"),
    (b"Rar!", "a RAR archive; unpack it and name the caption file in it"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; decompress it and name the file in it"),
    (b"\x1f\x8b", "compressed with gzip; decompress it (gunzip) and name the file in it"),
    (b"BZh", "compressed with bzip2; decompress it (bunzip2) and name the file in it"),
    (b"\xfd7zXZ\x00", "compressed with xz; decompress it (unxz) and name the file in it"),
    (LFS_POINTER, "a Git LFS pointer, not the file itself; get the file with `git lfs pull`"),
    (b"{\\rtf", "a rich-text document; save it as plain text"),
)
_IN_ZIP = (
    (b"xl/", "an Excel workbook (.xlsx); save the sheet with the captions as csv"),
    (b"word/", "a Word document (.docx); save it as plain text"),
    (b"opendocument.spreadsheet", "a spreadsheet (.ods); save it as csv"),
    (b"opendocument.text", "a document (.odt); save it as plain text"),
    (b".npy", "a NumPy archive (.npz); write its captions as lines `image_id caption`"),
)


def name_kind(head: bytes) -> str | None:
    """Return what a file with the first bytes `head` is and what to do; None if it may be text."""
    if head.startswith(b"PK\x03\x04"):
        found = (text for sign, text in _IN_ZIP if sign in head)
        return next(found, "a zip archive; unpack it and name the caption file in it")
    return next((text for sign, text in _KINDS if head.startswith(sign)), None)
