import errno
import os

import pytest
from PIL import Image

from captioner.config import ConfigError
from captioner.generation.caption import Caption
from captioner.storage import DataError
from captioner.writers.existing import Wording
from captioner.writers.metadata.containers import container_of
from captioner.writers.metadata.embedded import EmbeddedMetadata
from captioner.writers.metadata.xmp import ALT_TEXT, DESCRIPTION, get_text
from captioner.writers.result import Captioned
from captioner.writers.sidecars import TextSidecars, XmpSidecars
from captioner.writers.targets import HopelessError

WRITERS = [TextSidecars, XmpSidecars, EmbeddedMetadata]


def captioned(path, *texts):
    return Captioned(path, [Caption(text, tuple(text.split()), -1.0) for text in texts or ("a dog",)])


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (20, 20), "red").save(path)
    return path


def read(writer, picture):
    if isinstance(writer, TextSidecars):
        return writer.target(picture).read_text()
    file = writer.target(picture).read_bytes()
    packet = container_of(file).read(file) if isinstance(writer, EmbeddedMetadata) else file
    assert get_text(packet, DESCRIPTION) == get_text(packet, ALT_TEXT)
    return get_text(packet, DESCRIPTION)


@pytest.mark.parametrize(
    ("existing", "expected"),
    [("skip", "a dog"), ("overwrite", "a cat"), ("append", "a dog|a cat"), ("prepend", "a cat|a dog")],
)
@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_there_already(picture, kind, existing, expected):
    kind(Wording()).add(captioned(picture))
    writer = kind(Wording(existing))
    assert writer.is_done(picture) == (existing == "skip")
    for _ in range(2):  # a killed run writes some once more
        writer.add(captioned(picture, "a cat"))
        between = "\n" if kind is TextSidecars else "; "
        assert read(writer, picture).rstrip("\n") == expected.replace("|", between)


@pytest.mark.parametrize("kind", WRITERS)
def test_prefix_suffix_and_times(picture, kind):
    kind(Wording()).add(captioned(picture))
    writer = kind(Wording("overwrite", "photo of ", ", 1998"), keep_times=True)
    os.chmod(writer.target(picture), 0o640)  # noqa: PTH101
    os.utime(writer.target(picture), ns=(10**18, 10**18 + 7))
    writer.add(captioned(picture))
    assert read(writer, picture).strip() == "photo of a dog, 1998"
    status = writer.target(picture).stat()
    assert status.st_mtime_ns == 10**18 + 7 and status.st_mode & 0o777 == 0o640
    later = kind(Wording("overwrite"))
    later.add(captioned(picture))
    assert writer.target(picture).stat().st_mtime_ns != 10**18 + 7


@pytest.mark.parametrize("kind", WRITERS)
def test_a_dry_run_writes_nothing(picture, kind):
    before, lines = picture.read_bytes(), []
    kind(Wording(), dry_run=lines.append).add(captioned(picture))
    assert list(picture.parent.iterdir()) == [picture] and picture.read_bytes() == before
    assert len(lines) == 1 and str(kind(Wording()).target(picture)) in lines[0] and "a dog" in lines[0]


@pytest.mark.parametrize("existing", ["skip", "overwrite", "append", "prepend"])
@pytest.mark.parametrize("kind", WRITERS)
def test_no_caption_replaces_no_text_and_makes_none(picture, kind, existing):
    empty = Captioned(picture, [Caption("", (), -1.0)])
    for nothing in (Captioned(picture, []), empty):
        before = picture.read_bytes()
        kind(Wording(existing, prefix="photo of ")).add(nothing)
        assert list(picture.parent.iterdir()) == [picture] and picture.read_bytes() == before
    kind(Wording()).add(captioned(picture))
    for nothing in (Captioned(picture, []), empty):
        kind(Wording(existing, prefix="photo of ")).add(nothing)
        assert read(kind(Wording()), picture).strip() == "a dog"


def test_several_captions_are_lines(picture):
    TextSidecars(Wording(), "caption").add(captioned(picture, "a dog", "two dogs"))
    assert picture.with_suffix(".caption").read_text() == "a dog\ntwo dogs\n"
    TextSidecars(Wording("prepend"), ".caption").add(captioned(picture, "x", "y"))
    assert picture.with_suffix(".caption").read_text() == "x\ny\na dog\ntwo dogs\n"


def test_a_text_that_is_not_utf8_is_never_lost(picture):
    path = picture.with_suffix(".txt")
    path.write_bytes(b"caf\xe9")
    assert TextSidecars(Wording()).is_done(picture)
    with pytest.raises(DataError, match=r"a\.txt: is not UTF-8 and stays unchanged"):
        TextSidecars(Wording("append")).add(captioned(picture))
    assert path.read_bytes() == b"caf\xe9"
    path.write_bytes(b" \n")  # nothing that could be lost
    assert not TextSidecars(Wording()).is_done(picture)


def test_damaged_metadata_are_left_as_they_are(picture):
    sidecar = picture.with_suffix(".xmp")
    sidecar.write_bytes(b"<x:xmpmeta")
    with pytest.raises(DataError, match=r"a\.xmp: its XMP cannot be read .*; the file is unchanged"):
        XmpSidecars(Wording("overwrite")).add(captioned(picture))
    assert sidecar.read_bytes() == b"<x:xmpmeta"
    picture.write_bytes(picture.read_bytes()[:15])
    with pytest.raises(DataError, match=r"a\.jpg: its JPEG segments are damaged; the file is unchanged"):
        EmbeddedMetadata(Wording()).add(captioned(picture))
    gif = picture.with_name("b.gif")
    Image.new("RGB", (9, 9)).save(gif)
    with pytest.raises(
        DataError, match=r"b\.gif: metadata can only be written into JPEG, PNG and WebP files; use --write xmp-s"
    ):
        EmbeddedMetadata(Wording()).add(captioned(gif))


def test_two_pictures_never_share_a_sidecar(tmp_path):
    pictures = [tmp_path / name for name in ("b.jpg", "a.jpg", "a.png")]
    for writer in (TextSidecars(Wording()), XmpSidecars(Wording())):
        with pytest.raises(DataError, match=r"a\.jpg and .*a\.png would share a\.(txt|xmp)"):
            writer.check(pictures)
        writer.check(pictures[:2])
    EmbeddedMetadata(Wording()).check(pictures)
    (tmp_path / "a.jpg.xmp").write_text("")  # darktable's and digiKam's name
    assert XmpSidecars(Wording()).target(tmp_path / "a.jpg").name == "a.jpg.xmp"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to(picture):
    picture.parent.chmod(0o555)
    try:
        with pytest.raises(DataError, match="cannot be written to, but --write"):
            TextSidecars(Wording()).check([picture])
    finally:
        picture.parent.chmod(0o755)


def test_a_link_stays_a_link(picture):
    link = picture.with_name("link.jpg")
    link.symlink_to(picture)
    EmbeddedMetadata(Wording()).add(captioned(link))
    assert link.is_symlink() and read(EmbeddedMetadata(Wording()), picture) == "a dog"


@pytest.mark.parametrize("extension", ["jpg", ".PNG", "", ".", ".a/b"])
def test_extensions_that_would_do_harm(extension):
    with pytest.raises(ConfigError, match="--extension"):
        TextSidecars(Wording(), extension)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_stops_the_run_and_loses_nothing(picture, kind, monkeypatch):
    before = picture.read_bytes()

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(picture), "write_bytes", full)
    with pytest.raises(HopelessError, match=r"No space left on device.*; run the same command again to continue"):
        kind(Wording()).add(captioned(picture))
    assert picture.read_bytes() == before and list(picture.parent.iterdir()) == [picture]
