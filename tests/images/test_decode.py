import io
import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from captioner.images.decode import load_image, resize
from captioner.images.ids import image_id, normalize_id
from captioner.images.listing import list_images
from captioner.storage import DataError
from tests.speed import slow_but

RED = (255, 0, 0)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1000268201_693b08cb0e", "1000268201_693b08cb0e"),
        ("1000268201_693b08cb0e.jpg", "1000268201_693b08cb0e"),
        ("1000268201_693b08cb0e.jpg#0", "1000268201_693b08cb0e"),
        ("1000268201_693b08cb0e#4", "1000268201_693b08cb0e"),
        ("2258277193_586949ec62.jpg.1#0", "2258277193_586949ec62.jpg.1"),
        ("trip/my dog.JPEG", "trip/my%20dog"),
        ("my%20dog", "my%20dog"),
        ("v1.2", "v1.2"),
        ("twice.png.jpg", "twice"),
        ("photo#7.jpg", "photo%237"),
        ("photo#7.jpg#0", "photo%237"),
        (".jpg", ".jpg"),
        ("COCO_train2014_000000493652.jpg", "493652"),
        ("COCO_val2014_000000000042", "42"),
        ("000000493652.jpg", "493652"),
        ("coco/val2017/000000493652.jpg", "493652"),
        ("493652", "493652"),
        ("album/000000493652", "album/000000493652"),
        ("cafe\u0301.webp", "caf\u00e9"),
    ],
)
def test_normalize_id(text, expected):
    assert normalize_id(text) == expected
    assert normalize_id(expected) == expected, "an id stays what it is"


def test_image_id_is_the_relative_path_without_extension(tmp_path):
    assert image_id(tmp_path / "a b" / "c.d.jpg", tmp_path) == "a%20b/c.d"


def test_list_images_is_recursive_sorted_and_passes_over_hidden_files(tmp_path):
    for name in ["z.jpg", "b/a.PNG", "b/.hidden.jpg", ".thumbs/t.jpg", "notes.txt", "a.tiff"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    assert list_images(tmp_path) == {
        "a": tmp_path / "a.tiff",
        "b/a": tmp_path / "b" / "a.PNG",
        "z": tmp_path / "z.jpg",
    }


def test_list_images_copes_with_a_name_that_is_not_utf8(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")).touch()
    (name,) = list_images(tmp_path)
    assert name == "caf%E9"


def test_two_files_with_one_id_are_named_both(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match=r"a\.jpg and .*a\.png are both the picture 'a'"):
        list_images(tmp_path)


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(DataError, match="no picture in it"):
        list_images(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        list_images(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="not a folder"):
        list_images(tmp_path / "file")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF"])
def test_every_format_decodes_from_path_and_bytes(tmp_path, kind):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    data = encoded(Image.new("RGB", (20, 10), RED), kind)
    (tmp_path / "picture").write_bytes(data)
    for source in (data, tmp_path / "picture", str(tmp_path / "picture")):
        picture = load_image(source)
        assert picture.shape == (10, 20, 3)
        assert picture.dtype == np.uint8
        assert np.abs(picture.astype(int) - RED).max() < 12  # JPEG and AVIF lose a little


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "RGBA", "LA"])
def test_other_colour_modes(mode):
    kind = "JPEG" if mode == "CMYK" else "PNG"
    picture = load_image(encoded(Image.new("RGB", (8, 8), "white").convert(mode), kind))
    assert picture.shape == (8, 8, 3)
    assert picture.min() > 250


def test_progressive_jpeg():
    assert load_image(encoded(Image.new("RGB", (64, 64), RED), "JPEG", progressive=True)).shape == (64, 64, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(kind, orientation):
    # stored as (6 high, 4 wide) for the turned ones: every orientation shows the same upright picture, bright top left
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:20, :30] = 255
    undo = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: a[::-1, ::-1],
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: np.rot90,
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    picture = load_image(encoded(stored, kind, exif=exif))
    assert picture.shape == upright.shape
    assert np.abs(picture.astype(int) - upright).mean() < 5


def test_transparency_lies_on_white():
    assert load_image(encoded(Image.new("RGBA", (4, 4), (0, 0, 0, 0)), "PNG")).min() == 255
    half = load_image(encoded(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG"))
    assert 125 <= half.min() <= 129
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert load_image(encoded(palette, "GIF", transparency=0)).min() == 255


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(kind):
    levels = np.array([[0, 257, 32768, 65535]], np.uint16)
    assert load_image(encoded(Image.fromarray(levels), kind))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_float_and_integer_tiffs():
    assert load_image(encoded(Image.fromarray(np.float32([[0, 0.5, 1]])), "TIFF"))[0, :, 0].tolist() == [0, 128, 255]
    assert load_image(encoded(Image.fromarray(np.int32([[0, 7, 255]])), "TIFF"))[0, :, 0].tolist() == [0, 7, 255]
    assert load_image(encoded(Image.fromarray(np.float32([[np.nan, -1, 510_000]])), "TIFF"))[0, :, 0].max() == 255


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    picture = load_image(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert np.abs(picture[0, 0].astype(int) - RED).max() < 12


def bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 4096, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_bombs_are_refused_before_decoding(side):
    with pytest.raises(DataError, match="pixels"):
        load_image(bomb(side, side))


def test_max_pixels_is_the_callers():
    data = encoded(Image.new("RGB", (20, 10)), "PNG")
    assert load_image(data, max_pixels=200).shape == (10, 20, 3)
    with pytest.raises(DataError, match="claims 20 x 10 pixels, more than 199"):
        load_image(data, max_pixels=199)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
@pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 0.9])
def test_truncated_files_say_which(tmp_path, kind, part):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = encoded(noise, kind)
    path = tmp_path / "broken.jpg"
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(DataError, match=r"broken\.jpg: \S") as caught:
        load_image(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_picture(tmp_path):
    (tmp_path / "a.jpg").write_text("hello")
    (tmp_path / "e.jpg").write_bytes(encoded(Image.new("RGB", (8, 8)), "EPS"))
    for name, fault in [("a.jpg", "not a picture"), ("e.jpg", "not a picture"), ("m.jpg", "no such file")]:
        with pytest.raises(DataError, match=rf"{name}: {fault}"):
            load_image(tmp_path / name)
    with pytest.raises(DataError, match="empty"):
        load_image(b"")
    with pytest.raises(DataError):
        load_image(tmp_path)


def test_a_large_jpeg_is_decoded_small_and_looks_the_same():
    gradient = np.linspace(0, 255, 1600).astype(np.uint8)
    large = Image.fromarray(np.stack([np.tile(gradient, (800, 1))] * 3, -1))
    for orientation in (1, 6):
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encoded(large, "JPEG", exif=exif)
        whole, drafted = load_image(data), load_image(data, at_least=(50, 50))
        assert min(drafted.shape[:2]) == 100
        ends = [resize(picture, (50, 50), "whole", "bicubic").astype(int) for picture in (whole, drafted)]
        assert np.abs(ends[0] - ends[1]).max() <= 3


def test_pillows_warnings_do_not_leak_and_the_filters_come_back():
    palette = Image.new("P", (4, 4), 0)
    data = encoded(palette, "PNG", transparency=b"\x00\xff")  # Pillow warns when this is converted to RGB
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        with ThreadPoolExecutor(4) as pool:
            assert all(picture.shape == (4, 4, 3) for picture in pool.map(load_image, [data] * 32))
        assert list(warnings.filters) == before
    assert not seen


@pytest.mark.parametrize("filter", ["bicubic", "bilinear", "lanczos"])
@pytest.mark.parametrize("resizing", ["whole", "crop", "pad"])
def test_resize_gives_the_size(resizing, filter):
    for shape in [(10, 1000), (1000, 10), (1, 1), (7, 9)]:
        resized = resize(np.full((*shape, 3), 200, np.uint8), (6, 8), resizing, filter)
        assert resized.shape == (6, 8, 3)
        assert resized.dtype == np.uint8


def test_what_the_resizings_keep():
    picture = np.zeros((20, 60, 3), np.uint8)  # thirds: black, white, black
    picture[:, 20:40] = 255
    assert resize(picture, (20, 20), "crop", "bilinear").mean() > 240
    assert 80 < resize(picture, (20, 20), "whole", "bilinear").mean() < 90
    white = resize(np.full((20, 60, 3), 255, np.uint8), (30, 30), "pad", "bilinear")
    assert white[10:20].min() == 255
    assert white[:10].max() == white[20:].max() == 0


def test_a_picture_of_that_size_passes_through():
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    for resizing in ("whole", "crop", "pad"):
        np.testing.assert_array_equal(resize(picture, (8, 8), resizing, "lanczos"), picture)


def test_shrinking_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(resize(stripes, (16, 16), "whole", "bicubic").astype(int) - 127).max() < 20


@pytest.mark.parametrize("mode", slow_but(["1", "L", "P", "RGB", "RGBA"], "L"))
def test_a_large_picture_is_made_smaller_in_bands_as_it_is_whole(mode):
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (60, 50, 3), np.uint8)).resize((5000, 6000))
    data = encoded(small.convert(mode), "PNG", compress_level=1)
    found = load_image(data, at_least=(100, 100)).astype(float)  # (height, width, 3)
    whole = Image.fromarray(load_image(data)).reduce(25)
    assert found.shape == (240, 200, 3)
    assert np.abs(found - np.asarray(whole)).max() <= 2


def test_rows_without_number_are_refused():
    head = struct.pack(">IIBBBBB", 1, 2**26, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    chunks = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    with pytest.raises(DataError, match="claims 1 x 67108864 pixels in 65 bytes"):
        load_image(b"\x89PNG\r\n\x1a\n" + b"".join(chunks), at_least=(224, 224))
