import io
import struct

import pytest
from PIL import Image

from captioner.generation.caption import Caption
from captioner.writers.existing import Wording
from captioner.writers.metadata.embedded import EmbeddedMetadata
from captioner.writers.metadata.present import present_texts
from captioner.writers.result import Captioned
from captioner.writers.sidecars import XmpSidecars


def encoded(format="JPEG", description=None):
    file, exif = io.BytesIO(), Image.Exif()
    if description is not None:
        exif[0x010E] = description
    Image.new("RGB", (20, 20), "red").save(file, format, exif=exif)
    return file.getvalue()


def with_iptc(text, cut=0):
    dataset = b"\x1c\x02\x00\x00\x02\x00\x02" + b"\x1c\x02\x78" + struct.pack(">H", len(text)) + text
    dataset = dataset[: len(dataset) - cut]
    other = b"8BIM\x03\xed\x03abc" + struct.pack(">I", 3) + b"xyz\0"
    data = b"Photoshop 3.0\0" + other + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(dataset)) + dataset
    file = encoded()
    return file[:2] + b"\xff\xed" + struct.pack(">H", len(data) + 2) + data + file[2:]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_exif_descriptions_count_but_for_those_of_cameras(format):
    assert present_texts(encoded(format)) == []
    assert present_texts(encoded(format, "Grandma in 1998")) == ["Grandma in 1998"]
    for empty in ("OLYMPUS DIGITAL CAMERA         ", "SONY DSC", "KODAK Digital Still Camera", "  ", r"DCIM\1\DJI.JPG"):
        assert present_texts(encoded(format, empty)) == []


def test_iptc_captions_count():
    assert present_texts(with_iptc("Großmutter".encode())) == ["Großmutter"]
    assert present_texts(with_iptc(b" ")) == present_texts(with_iptc(b"Grandma", cut=12)) == []


def test_other_files_and_damaged_data_carry_none():
    assert present_texts(b"GIF89a") == []
    file = encoded(description="Grandma")
    place = file.index(b"Exif\0")
    assert present_texts(file[: place + 6] + b"XXXXXXXX" + file[place + 14 :]) == []


@pytest.mark.parametrize("file", [encoded(description="Grandma"), with_iptc(b"Grandma")])
@pytest.mark.parametrize("kind", [EmbeddedMetadata, XmpSidecars])
def test_such_a_text_stays_the_only_one(tmp_path, kind, file):
    picture = tmp_path / "a.jpg"
    picture.write_bytes(file)
    writer = kind(Wording())
    assert writer.is_done(picture)
    writer.add(Captioned(picture, [Caption("a dog", ("a", "dog"), -1.0)]))
    assert picture.read_bytes() == file and list(tmp_path.iterdir()) == [picture]
    assert not kind(Wording("overwrite")).is_done(picture)


def test_a_sidecar_is_written_beside_what_the_same_run_wrote_inside(tmp_path):
    picture = tmp_path / "a.jpg"
    picture.write_bytes(encoded())
    for writer in (EmbeddedMetadata(Wording()), XmpSidecars(Wording())):
        assert not writer.is_done(picture) or isinstance(writer, XmpSidecars)
        writer.add(Captioned(picture, [Caption("a dog", ("a", "dog"), -1.0)]))
    assert (tmp_path / "a.xmp").exists()
    other = XmpSidecars(Wording("skip", "photo: "))
    (tmp_path / "a.xmp").unlink()
    assert other.is_done(picture)
