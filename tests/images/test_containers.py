"""Only pixels decide: what is around them may be broken, they may not."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, features

from captioner.images import files
from captioner.images.containers import bare_jpeg, bare_png, exif_orientation
from captioner.images.decode import allowed_pixels, load_image
from captioner.images.files import kind_of, read_picture
from captioner.storage import DataError

CASES = Path(__file__).parents[2] / "../shared/cases"
NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
SMOOTH = np.add.outer(np.arange(48) * 3, np.arange(64) * 2)[..., np.newaxis].repeat(3, 2).astype(np.uint8)


def encoded(array, kind, **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **options)
    return file.getvalue()


def chunk(kind, content, checksum=None):
    checksum = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def with_chunk(data, *added):
    return data[:33] + b"".join(added) + data[33:]  # behind IHDR


def test_a_png_with_one_flipped_bit_is_refused_or_shows_the_same():
    data = encoded(NOISE, "PNG", pnginfo=_text("a text"))
    rng, refused = np.random.default_rng(0), 0
    for place in rng.integers(0, len(data) * 8, 400):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        try:
            np.testing.assert_array_equal(load_image(bytes(flipped)), NOISE)
        except DataError:
            refused += 1
    assert refused > 380


def _text(text):
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", text)
    return info


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "JPEG2000", "PPM", "QOI"])
def test_a_flipped_bit_never_hides_what_pillow_says(kind):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    data = encoded(SMOOTH, kind)
    for place in np.random.default_rng(1).integers(0, len(data) * 8, 120):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        try:
            found = load_image(bytes(flipped))
        except DataError:
            continue
        with Image.open(io.BytesIO(bytes(flipped))) as image:
            image.load()  # raises where we must not have read on
            assert found.shape[2] == 3 and {*found.shape[:2]} == {*image.size}


def test_the_sample_of_a_corrupt_png():
    path = CASES / "hostile/corrupt.png"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    with pytest.raises(DataError, match=r"corrupt\.png: broken or truncated \(wrong checksum of its pixels\)"):
        load_image(path)


@pytest.mark.parametrize(
    "added",
    [
        chunk(b"tEXt", b"Comment\0hello", checksum=1),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**24))),
        chunk(b"iCCP", b"profile\0\0" + zlib.compress(os.urandom(2**21))),
        chunk(b"iCCP", b"profile\0\0broken"),
        chunk(b"eXIf", b"no exif"),
        chunk(b"eXIf", b"II*\0" + b"\xff" * 40),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0broken"),
        chunk(b"tEXt", b"Raw profile type exif\0\n\n\nzz"),
        chunk(b"gAMA", b""),
        chunk(b"pHYs", b"\0"),
        chunk(b"acTL", b""),
        chunk(b"prVt", b"whatever"),
    ],
)
def test_what_is_about_a_png_never_decides(added):
    data = encoded(NOISE, "PNG")
    np.testing.assert_array_equal(load_image(with_chunk(data, added)), NOISE)
    np.testing.assert_array_equal(load_image(data[:-12] + added + data[-12:]), NOISE)


def test_a_png_that_lacks_nothing_but_its_end():
    data = encoded(NOISE, "PNG")
    np.testing.assert_array_equal(load_image(data[:-12]), NOISE)
    np.testing.assert_array_equal(load_image(data[:-12] + chunk(b"tEXt", b"Comment\0hello")[:-9]), NOISE)
    for cut in (13, 14, 100):
        with pytest.raises(DataError, match="broken or truncated"):
            load_image(data[:-cut])


def test_pngs_without_what_they_need():
    paletted = io.BytesIO()
    Image.fromarray(SMOOTH).convert("P").save(paletted, "PNG")
    data = paletted.getvalue()
    end = data.index(b"IDAT") - 4
    assert data[37:41] == b"PLTE"
    with pytest.raises(DataError, match="no palette"):
        load_image(data[:33] + data[end:])
    with pytest.raises(DataError, match="wrong checksum of its part pLTE"):
        load_image(data.replace(b"PLTE", b"pLTE"))
    with pytest.raises(DataError, match="no pixels"):
        load_image(data[:33] + data[-12:])
    broken = with_chunk(encoded(NOISE, "PNG"), chunk(b"prVt", b"x", checksum=0))
    with pytest.raises(DataError, match="wrong checksum of its part prVt"):
        load_image(broken)


@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_where_a_png_says_how_it_is_turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    raw = exif.tobytes()
    lines = "\n".join(["", "exif", f"{len(raw):8}", raw.hex()]).encode()
    xmp = f'<rdf tiff:Orientation="{orientation}"/>'.encode()
    for added in (
        chunk(b"eXIf", raw.removeprefix(b"Exif\0\0")),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(lines)),
        chunk(b"tEXt", b"Raw profile type exif\0" + lines),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp)),
    ):
        assert bare_png(with_chunk(encoded(NOISE, "PNG"), added)).orientation == orientation


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"Exif\0\0",
        b"Exif\0\0II*\0",
        b"MM\0*\0\0\0\x08\xff\xff",
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x63",
    ],
)
def test_broken_exif_turns_nothing(content):
    assert exif_orientation(content) == 0


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 100, "subsampling": 0}])
@pytest.mark.parametrize("array", [NOISE, SMOOTH, np.zeros_like(NOISE)])
def test_a_jpeg_that_lacks_its_end(options, array):
    data = encoded(array, "JPEG", **options)
    whole = load_image(data)
    for cut in (1, 2):
        np.testing.assert_array_equal(load_image(data[:-cut]), whole)
    for part in (0.3, 0.6, 0.9):
        with pytest.raises(DataError, match="broken or truncated"):
            load_image(data[: 200 + int((len(data) - 200) * part)])


def test_the_sample_of_a_jpeg_that_lacks_its_end():
    if not CASES.is_dir():
        pytest.skip(f"{CASES} is missing")
    assert load_image(CASES / "jpeg-tail/trunc1.jpg").shape == load_image(CASES / "jpeg-tail/plain.jpg").shape


def test_what_is_about_a_jpeg_never_decides():
    data = encoded(NOISE, "JPEG", comment=b"hello", icc_profile=os.urandom(10**5))
    whole = load_image(encoded(NOISE, "JPEG"))
    np.testing.assert_array_equal(load_image(data), whole)
    for marker in (0xE1, 0xE2, 0xED, 0xFE):
        for content in (
            b"Exif\0\0broken",
            b"MPF\0II*\0\xff\xff\xff\xff",
            b"Photoshop 3.0\x008BIM",
            b"ICC_PROFILE\0",
            b"",
        ):
            segment = bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
            np.testing.assert_array_equal(load_image(data[:2] + segment + data[2:]), whole)
    assert len(bare_jpeg(data).data) < len(data) - 10**5
    odd = data[:2] + b"\0\0" + data[2:]  # libjpeg passes over it
    assert bare_jpeg(odd).data == odd


def test_jpegs_of_many_scans_are_refused():
    data = encoded(SMOOTH, "JPEG", progressive=True)
    assert 1 < bare_jpeg(data).scans < 20
    last = data.rindex(b"\xff\xda")
    with pytest.raises(DataError, match="scans, far more than cameras write"):
        load_image(data[:last] + data[last:-2] * 20_000 + data[-2:])


def test_a_jpeg_of_200_megapixels_is_read_at_a_part_of_its_size(monkeypatch):
    # the header of a telephone's picture: its rows are all one colour, which takes few bytes
    data = bytearray(encoded(np.full((16, 16, 3), 90, np.uint8), "JPEG"))
    place = data.index(b"\xff\xc0")
    data[place + 5 : place + 9] = struct.pack(">HH", 12_000, 16_000)
    start = data.index(b"\xff\xda") + 14
    blocks = bytes(12_000 * 16_000 // 256 * 3 // 4 + 3)
    large = bytes(data[:start]) + bytes([0b11111000]) + blocks + b"\xff\xd9"
    with pytest.raises(DataError, match="more than 67108864; shrink it first, or allow more with the variable CAPT"):
        load_image(large)
    monkeypatch.setenv("CAPTIONER_MAX_PIXELS", "1000")
    with pytest.raises(DataError, match="more than 1000"):
        load_image(large, at_least=(224, 224))
    monkeypatch.setenv("CAPTIONER_MAX_PIXELS", "many")
    with pytest.raises(DataError, match="CAPTIONER_MAX_PIXELS: expected a number"):
        allowed_pixels()


def test_small_files_that_claim_much(tmp_path):
    blank = Image.new("L", (1, 1))
    webp, gif = io.BytesIO(), io.BytesIO()
    blank.convert("RGB").save(webp, "WEBP", lossless=True)
    blank.save(gif, "GIF")
    claims = bytearray(webp.getvalue())
    place = claims.index(b"VP8L") + 9
    claims[place : place + 4] = (8191 | 8191 << 14).to_bytes(4, "little")
    with pytest.raises(DataError, match=r"claims 8192 x 8192 pixels in \d+ bytes, far more than photographs do"):
        load_image(bytes(claims))


def test_only_regular_files_that_begin_as_pictures_do(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path, fault in [
        (tmp_path / "pipe.jpg", "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
        (tmp_path, "is a folder"),
        (tmp_path / "none.jpg", "no such file"),
    ]:
        with pytest.raises(DataError, match=fault):
            read_picture(path)
    with (tmp_path / "sparse.jpg").open("wb") as file:
        file.truncate(2**29)
    with pytest.raises(DataError, match="not a picture"):
        read_picture(tmp_path / "sparse.jpg")
    with (tmp_path / "sparse.jpg").open("wb") as file:
        file.write(b"\xff\xd8\xff")
        file.truncate(3 * 2**30)
    with pytest.raises(DataError, match=r"has 3\.0 GiB, too much for a picture"):
        read_picture(tmp_path / "sparse.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "JPEG2000", "PPM", "SGI", "PCX", "QOI"])
def test_kinds_are_told_by_their_first_bytes(kind):
    data = encoded(SMOOTH, kind)
    assert kind_of(data[:32]) == kind
    assert load_image(data).shape == (48, 64, 3)


def test_a_heic_picture_is_read_with_its_extra_and_named_without(monkeypatch):
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), (200, 30, 30))).save(file, quality=90)
    picture = load_image(file.getvalue(), name="a.heic")
    assert picture.shape == (48, 64, 3) and abs(picture.astype(int) - (200, 30, 30)).max() < 12
    with pytest.raises(DataError, match=r"a\.heic: broken or truncated|a\.heic: not a picture"):
        load_image(b"\0\0\0\x18ftypheic" + bytes(50), name="a.heic")
    monkeypatch.setattr(files, "can_read_heif", lambda: False)
    with pytest.raises(DataError, match=r"a\.heic: a HEIC picture; pip install 'captioner\[heif\]', or"):
        load_image(file.getvalue(), name="a.heic")


def segments(data, count):
    return data[:2] + b"\xff\xfe\0\2" * count + data[2:]


def test_files_in_far_too_many_parts_are_refused():
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    jpeg = file.getvalue()
    assert load_image(segments(jpeg, 1000)).shape == (8, 8, 3)
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    png = file.getvalue()
    chunk = struct.pack(">I", 0) + b"tEXt" + struct.pack(">I", zlib.crc32(b"tEXt"))
    file = io.BytesIO()
    Image.new("P", (8, 8)).save(file, "GIF")
    gif = file.getvalue()
    start = gif.index(b",")
    for data in (
        segments(jpeg, 50_000),
        png[:33] + chunk * 50_000 + png[33:],
        gif[:start] + b"!\xfe\1x\0" * 50_000 + gif[start:],
    ):
        with pytest.raises(DataError, match="far more parts than pictures have"):
            load_image(data)
    with pytest.raises(DataError, match="no size near its beginning"):
        load_image(b"P6\n#" + b"a" * 2**20 + b"\n1 1\n255\nabc")


def test_scans_are_counted_where_the_parts_of_a_jpeg_are_odd():
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    frame = data.index(b"\xff\xc2")
    odd = data[:frame] + b"\1" + data[frame:-2] + last * 100 + b"\xff\xd9"
    with pytest.raises(DataError, match="scans, far more than cameras write"):
        load_image(odd)


@pytest.mark.parametrize(
    ("major", "others", "kind"),
    [
        (b"mif1", b"mif1heicmiaf", "HEIC"),
        (b"msf1", b"msf1hevc", "HEIC"),
        (b"mif1", b"mif1avifmiaf", "AVIF"),
        (b"mif1", b"miafMA1B", "AVIF"),
        (b"avif", b"heic", "AVIF"),
        (b"hevx", b"", "HEIC"),
        (b"hevm", b"", "HEIC"),
        (b"hevs", b"", "HEIC"),
        (b"isom", b"heic", None),
    ],
)
def test_the_brands_of_a_container_say_whether_it_is_heic_or_avif(major, others, kind):
    box = b"ftyp" + major + bytes(4) + others
    assert kind_of((len(box) + 4).to_bytes(4) + box + b"avif" * 4) == kind
