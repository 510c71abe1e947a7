import io

import numpy as np
import pytest
from PIL import Image

from captioner.config import ConfigError
from captioner.generation.caption import Caption
from captioner.plots.pictures import (
    attention_figure,
    attention_heat,
    attention_maps,
    captioned,
    covered,
    require_matplotlib,
    to_png,
)
from captioner.storage import DataError

PICTURE = np.full((60, 90, 3), 200, np.uint8)


def looking_at(*regions, of=9):
    """Return a caption each of whose words looks at one region."""
    words = tuple(f"w{region}" for region in regions)
    return Caption(" ".join(words), words, -1.0, np.eye(of, dtype=np.float32)[list(regions)])


def ink(page, top):
    """Return how much of a page below `top` is not white."""
    return int((np.asarray(page)[top:] < 128).any(axis=-1).sum())


def test_the_caption_stands_under_the_picture_which_stays_as_it_is():
    page = captioned(np.full((200, 400, 3), 99, np.uint8), ["a dog runs"])
    assert page.width == 400 and 215 < page.height < 260
    assert (np.asarray(page)[:200] == 99).all() and ink(page, 200) > 50


def test_a_small_picture_gets_room_for_its_caption():
    page = captioned(PICTURE, ["a dog"])
    assert page.width == 320
    assert (np.asarray(page)[:60, 115:205] == 200).all() and (np.asarray(page)[:60, :110] == 255).all()


def test_a_large_picture_is_shrunk():
    assert captioned(np.zeros((400, 3200, 3), np.uint8), ["a dog"]).width == 1600


def test_long_captions_and_words_are_wrapped_into_the_page():
    short, long = captioned(PICTURE, ["a dog"]), captioned(PICTURE, ["a dog runs " * 20])
    assert long.height > short.height + 60
    page = captioned(PICTURE, ["w" * 200])
    edges = np.asarray(page)[60:, [0, 1, 2, -3, -2, -1]]
    assert ink(page, 60) > ink(short, 60) and (edges == 255).all()


def test_several_captions_are_numbered_lines():
    one, three = captioned(PICTURE, ["a dog"]), captioned(PICTURE, ["a dog"] * 3)
    assert three.height > one.height + 30


@pytest.mark.parametrize("text", ["", "naïve café über Ελληνικά", "红色的狗 🐕", "a\tb\nc"])
def test_any_text_is_drawn(text):
    assert captioned(PICTURE, [text]).height > 60


def test_the_heat_lies_where_the_region_is():
    for region in range(9):
        heat = attention_heat(np.eye(9)[region], (90, 120))
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        assert (row // 30, column // 40) == divmod(region, 3)
        assert heat.max() == pytest.approx(1.0, abs=0.05) and heat.min() == 0.0


def test_a_grid_that_the_description_tells():
    heat = attention_heat(np.eye(6)[5], (40, 60), {"grid": [2, 3]})
    assert heat[30:, 45:].mean() > 0.5 > heat[:20, :30].max()


def test_regions_that_are_no_grid():
    with pytest.raises(DataError, match="attention over 6 regions cannot be drawn, because they are not a square grid"):
        attention_heat(np.eye(6)[5], (40, 60))


@pytest.mark.parametrize(
    ("resizing", "box"),
    [("whole", (0, 0, 200, 100)), ("crop", (50, 0, 150, 100)), ("pad", (0, -50, 200, 150))],
)
def test_the_grid_covers_what_the_encoder_saw(resizing, box):
    encoder = {"resizing": resizing, "input_size": [50, 50]}
    assert covered((100, 200), encoder) == box
    heat = attention_heat(np.eye(4)[1], (100, 200), encoder)  # the upper right region
    assert heat.shape == (100, 200)
    row, column = np.argwhere(heat > 0.9).mean(axis=0)
    assert row < 50 and 100 < column < (150 if resizing == "crop" else 200)
    if resizing == "crop":
        assert (heat[:, :50] == 0).all() and (heat[:, 150:] == 0).all()


class TestWithMatplotlib:
    @pytest.fixture(autouse=True)
    def matplotlib(self):
        pytest.importorskip("matplotlib")

    def test_one_map_a_word_bright_where_it_looked(self):
        maps = attention_maps(PICTURE, looking_at(0, 8))
        assert [one.size for one in maps] == [(400, 267)] * 2  # large enough to be read
        first, last = (np.asarray(one).astype(int).sum(axis=-1) for one in maps)
        assert first[:89, :133].mean() > 1.5 * first[178:, 267:].mean()
        assert last[178:, 267:].mean() > 1.5 * last[:89, :133].mean()

    def test_a_colour_is_the_same_weight_for_every_word(self):
        strong, weak = np.full(9, 0.05), np.full(9, 0.1)
        strong[0], weak[0] = 0.6, 0.2
        caption = Caption("a b", ("a", "b"), -1.0, np.stack([strong, weak]).astype(np.float32))
        one, other = (np.asarray(drawn).astype(int).sum(axis=-1) for drawn in attention_maps(PICTURE, caption))
        assert one[:60, :90].mean() > 1.3 * other[:60, :90].mean()

    def test_nearly_even_attention_is_drawn_even(self):
        weights = np.full((1, 9), 1 / 9) + np.linspace(-1e-3, 1e-3, 9)
        caption = Caption("a", ("a",), -1.0, weights.astype(np.float32))
        assert np.asarray(attention_maps(PICTURE, caption)[0]).std(axis=(0, 1)).max() < 5

    @pytest.mark.parametrize("words", [1, 4, 5, 13])
    def test_a_figure_has_the_picture_and_a_panel_a_word(self, words):
        figure = attention_figure(PICTURE, looking_at(*[0] * words))
        drawn = [axis for axis in figure.axes if axis.images]
        assert [axis.get_title() for axis in drawn] == ["", *["w0"] * words]
        assert "share of a word's attention" in [axis.get_xlabel() for axis in figure.axes][-1]
        png = to_png(figure)
        assert Image.open(io.BytesIO(png)).format == "PNG"

    def test_words_that_matplotlib_would_typeset_or_has_no_letters_for(self):
        words = ("$5", "and", "$6", "狗")
        caption = Caption(" ".join(words), words, -1.0, np.full((4, 4), 0.25, np.float32))
        assert to_png(attention_figure(PICTURE, caption)).startswith(b"\x89PNG")
        assert to_png(attention_maps(PICTURE, caption)[0]).startswith(b"\x89PNG")

    def test_a_caption_without_attention(self):
        with pytest.raises(DataError, match="this model has no attention to draw"):
            attention_figure(PICTURE, Caption("a", ("a",), -1.0))


def test_without_matplotlib(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"--attention: needs matplotlib; pip install 'captioner\[plot\]'"):
        require_matplotlib("--attention")
