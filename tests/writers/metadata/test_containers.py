"""Containers against Pillow (the picture is the same) and exiftool (the metadata are what other programs read)."""

import io
import json
import shutil
import struct
import subprocess
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from captioner.writers.metadata.containers import container_of
from captioner.writers.metadata.xmp import ALT_TEXT, DESCRIPTION, DamagedError, empty_packet, get_text, set_text

needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
PICTURE = np.random.default_rng(0).integers(0, 255, (23, 31, 4), dtype=np.uint8)


def packet(text="two dogs"):
    return set_text(set_text(empty_packet(), DESCRIPTION, text), ALT_TEXT, text)


def encoded(kind, **options):
    file = io.BytesIO()
    mode = options.pop("mode", "RGB")
    Image.fromarray(PICTURE).convert(mode).save(file, kind, **options)
    return file.getvalue()


def exif():
    found = Image.Exif()
    found[0x010E], found[0x0112] = "OLYMPUS DIGITAL CAMERA", 6
    return found.tobytes()


def info():
    found = PngInfo()
    found.add_text("Author", "someone")
    found.add_itxt("XML:com.adobe.xmp", packet("old").decode(), zip=True)
    return found


def profile():
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


FILES = {
    "plain.jpg": encoded("JPEG"),
    "exif.jpg": encoded("JPEG", exif=exif(), icc_profile=profile(), comment=b"hand-written"),
    "progressive.jpg": encoded("JPEG", progressive=True, dpi=(300, 300)),
    "xmp.jpg": encoded("JPEG", exif=exif(), xmp=packet("old")),
    "tail.jpg": encoded("JPEG") + b"motion video behind it",
    "plain.png": encoded("PNG", mode="RGBA"),
    "xmp.png": encoded("PNG", pnginfo=info(), exif=exif()),
    "lossy.webp": encoded("WEBP"),
    "alpha.webp": encoded("WEBP", mode="RGBA"),
    "lossless.webp": encoded("WEBP", lossless=True),
    "lossless-alpha.webp": encoded("WEBP", mode="RGBA", lossless=True),
    "full.webp": encoded("WEBP", exif=exif(), xmp=packet("old"), icc_profile=profile()),
}


def pixels(file):
    with Image.open(io.BytesIO(file)) as image:
        return image.mode, np.asarray(image)


@pytest.mark.parametrize("name", FILES)
def test_the_packet_is_there_and_all_else_is_as_it_was(name):
    file = FILES[name]
    container = container_of(file)
    before = container.read(file)
    assert (before is None) == ("xmp" not in name and "full" not in name)
    if before is not None:
        assert get_text(before, DESCRIPTION) == "old"
    new = container.write(file, packet())
    assert container.read(new) == packet()
    assert container.write(new, packet()) == new
    mode, now = pixels(new)
    assert mode == pixels(file)[0]
    np.testing.assert_array_equal(now, pixels(file)[1])
    with Image.open(io.BytesIO(file)) as old_image, Image.open(io.BytesIO(new)) as new_image:
        assert dict(old_image.getexif()) == dict(new_image.getexif())
        assert old_image.info.get("icc_profile") == new_image.info.get("icc_profile")
        assert old_image.info.get("comment") == new_image.info.get("comment")
    if name == "tail.jpg":
        assert new.endswith(b"motion video behind it")


@needs_exiftool
def test_exiftool_reads_it_and_finds_nothing_wrong(tmp_path):
    text = "Zwei Hunde & <eine> Katze “im” Schnee 🐕"
    for name, file in FILES.items():
        (tmp_path / name).write_bytes(container_of(file).write(file, packet(text)))
        (tmp_path / f"before-{name}").write_bytes(file)
    command = ["exiftool", "-j", "-G1", "-a", "-validate", "-warning", "-all", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = {row["SourceFile"].rpartition("/")[2]: row for row in json.loads(run.stdout)}
    changing = ("SourceFile", "System:", "ExifTool:", "XMP", "XMP-", "RIFF:WebP_Flags", "Composite:", "File:FileType")
    for name in FILES:
        row, before = rows[name], rows[f"before-{name}"]
        assert row["XMP-dc:Description"] == row["XMP-iptcCore:AltTextAccessibility"] == text, name
        assert row.get("ExifTool:Warning") == before.get("ExifTool:Warning"), name
        kept = {key: value for key, value in before.items() if not key.startswith(changing)}
        assert kept.items() <= row.items(), name


def test_a_packet_that_exiftool_wrote_is_edited(tmp_path):
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    for name in ("plain.jpg", "plain.png", "lossy.webp"):
        path = tmp_path / name
        path.write_bytes(FILES[name])
        tags = [
            "-XMP-dc:Description-de=ein Hund",
            "-XMP-dc:Subject=one",
            "-XMP-xmp:Rating=3",
            "-XMP-dc:Description=old",
        ]
        subprocess.run(["exiftool", "-q", "-overwrite_original", *tags, str(path)], check=True)
        file = path.read_bytes()
        container = container_of(file)
        assert get_text(container.read(file), DESCRIPTION) == "old"
        path.write_bytes(container.write(file, set_text(container.read(file), DESCRIPTION, "new")))
        asked = ["exiftool", "-j", "-XMP:all", str(path)]
        (row,) = json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
        found = [row[key] for key in ("Description", "Description-de", "Subject", "Rating")]
        assert found == ["new", "ein Hund", "one", 3], name


def chunk(kind, data, crc=None):
    return (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) if crc is None else crc)
    )


PNG = FILES["plain.png"]
DAMAGED = {
    "a segment longer than the file": FILES["plain.jpg"][:20],
    "no marker where one must be": FILES["plain.jpg"][:4] + b"\0\1" + FILES["plain.jpg"][4:],
    "png cut": PNG[:60],
    "png checksum": PNG[:33] + chunk(b"tEXt", b"a\0b", crc=1) + PNG[33:],
    "png packet cut": PNG[:33] + chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0nonsense") + PNG[33:],
    "png bomb": PNG[:33] + chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(2**25))) + PNG[33:],
    "webp cut": FILES["lossy.webp"][:-5],
    "webp chunk": FILES["lossy.webp"][:16] + b"\xff" * 4 + FILES["lossy.webp"][20:],
    "webp header": b"RIFF" + struct.pack("<I", 16) + b"WEBPVP8 " + struct.pack("<I", 4) + bytes(4),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_said(name):
    container = container_of(DAMAGED[name])
    with pytest.raises(DamagedError):
        container.read(DAMAGED[name])
        container.write(DAMAGED[name], packet())


def test_what_does_not_fit_is_said():
    with pytest.raises(DamagedError, match="too many for a JPEG; write a sidecar"):
        container_of(FILES["plain.jpg"]).write(FILES["plain.jpg"], packet("x" * 40_000))
    assert container_of(encoded("GIF")) is None and container_of(b"") is None


def test_further_pictures_behind_a_jpeg_are_still_found():
    def segment(kind, data):
        return kind + struct.pack(">H", len(data) + 2) + data

    jpeg, mpf = FILES["plain.jpg"], segment(b"\xff\xe2", b"MPF\0II")
    after_app0 = 2 + 2 + 16
    own = segment(b"\xff\xe1", b"http://ns.adobe.com/xap/1.0/\0" + packet("old"))
    container = container_of(jpeg)
    with_mpf = jpeg[:after_app0] + mpf + jpeg[after_app0:]
    new = container.write(with_mpf, packet())
    assert new.index(b"http://ns.adobe.com/xap") < new.index(b"MPF\0")  # distances count from MPF on
    with pytest.raises(DamagedError, match="further pictures"):
        container.write(jpeg[:after_app0] + mpf + own + jpeg[after_app0:], packet("much longer than before"))
