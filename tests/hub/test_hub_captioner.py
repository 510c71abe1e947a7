import numpy as np
import pytest
from keras import ops
from PIL import Image

from captioner.config import ConfigError
from captioner.hub.families import FAMILIES, without_warnings
from captioner.hub.loading import load_hub
from captioner.hub.samplers import SETTINGS, reseed
from captioner.picture_captioner import PictureCaptioner
from tests.hub.presets import MAKERS, keras_hub, preset
from tests.speed import slow

LENGTH = 6
NUMBERS = np.random.default_rng(0)
PICTURES = [NUMBERS.integers(0, 255, (20, 30, 3)).astype(np.uint8) for _ in range(3)]
BEAMS = [kind for kind in MAKERS if FAMILIES[kind].beams]


class Pair:
    """A captioner, and KerasHub's own model in it."""

    def __init__(self, kind):
        self.ours, self.family = load_hub(f"hub:{preset(kind)}"), FAMILIES[kind]
        self.theirs = self.ours.task
        for network in (self.theirs, self.ours._scorer):
            network.run_eagerly = True  # compiling takes longer than all else here
        self.begins, _ = self.ours._text(self.ours.search().config)

    def generate(self, sampler, pictures=PICTURES):
        """Return what KerasHub's own generate gives."""
        self.theirs.compile(sampler=sampler)
        self.theirs.run_eagerly = True
        given = self.family.text(self.family.asked(self.family.prompt), "", np.stack(pictures))
        given = {name: value if name == "images" else value * len(pictures) for name, value in given.items()}
        apart = {} if self.family.tokens.startswith("decoder") else {"strip_prompt": True}
        with without_warnings():
            texts = self.theirs.generate(given, max_length=self.begins + LENGTH, **apart)
        return [" ".join(str(text).split()) for text in texts]


@pytest.fixture(scope="module", params=[name if name.startswith("Pali") else slow(name) for name in MAKERS])
def pair(request):
    return Pair(request.param)


@pytest.fixture(scope="module")
def pali():
    return Pair("PaliGemmaCausalLM")


def texts(captions):
    return [caption.text for caption in captions]


def test_greedy_captions_are_those_of_kerashub(pair):
    assert isinstance(pair.ours, PictureCaptioner)
    found = texts(pair.ours.caption(PICTURES, max_length=LENGTH))
    assert found == pair.generate("greedy")
    assert any(found)


def test_beams_are_those_of_kerashub(pair):
    if not pair.family.beams:
        with pytest.raises(ConfigError, match="beam_size: KerasHub has no beam search for Gemma3CausalLM"):
            pair.ours.caption(PICTURES, beam_size=2)
        return
    found = texts(pair.ours.caption(PICTURES, beam_size=3, max_length=LENGTH))
    assert found == pair.generate(keras_hub.samplers.BeamSampler(num_beams=3))
    several = pair.ours.caption(PICTURES, n=3, max_length=LENGTH)
    assert [captions[0].text for captions in several] == found
    for captions in several:
        assert len({caption.tokens for caption in captions}) == len(captions) <= 3


def test_ever_other_prompts_fill_no_memory(pali, monkeypatch):
    most = len(pali.ours._texts) + 2
    monkeypatch.setattr("captioner.hub.hub_captioner.TEXTS_KEPT", most)
    for number in range(1, 6):
        pali.ours.search(prompt="a " * number)
    assert len(pali.ours._texts) == most


@pytest.mark.parametrize(
    ("options", "make"),
    [
        slow({"sample": True}, lambda: keras_hub.samplers.RandomSampler()),
        slow({"top_k": 4, "temperature": 0.7}, lambda: keras_hub.samplers.TopKSampler(k=4, temperature=0.7)),
        slow({"top_p": 0.6}, lambda: keras_hub.samplers.TopPSampler(p=0.6)),
        ({"top_p": 0.6, "top_k": 5}, lambda: keras_hub.samplers.TopPSampler(p=0.6, k=5)),
    ],
)
def test_sampling_draws_as_kerashub_does_by_the_seed_and_the_picture_s_number(pali, options, make):
    found = texts(pali.ours.caption(PICTURES, max_length=LENGTH, seed=3, **options))
    for number, picture in enumerate(PICTURES):
        sampler = make()
        reseed(sampler, 3, number)
        assert pali.generate(sampler, [picture]) == [found[number]]
    assert pali.ours.caption(PICTURES[2], first=2, max_length=LENGTH, seed=3, **options).text == found[2]


def test_several_samples_come_best_first(pali):
    captions = pali.ours.caption(PICTURES[0], n=4, sample=True, max_length=LENGTH)
    assert len(captions) == 4
    assert len(set(texts(captions))) > 1
    values = [caption.log_prob for caption in captions]
    assert values == sorted(values, reverse=True)


def test_log_probabilities_are_those_of_the_steps_that_made_the_caption(pair):
    class Recording(keras_hub.samplers.BeamSampler):
        def __call__(self, *positional, **named):
            prompts, self.log_probs = super().__call__(*positional, **named)
            return prompts[:, 0]

    sampler = Recording(num_beams=1, return_all_beams=True)
    if not pair.family.beams:
        pytest.skip("its step cannot be searched")
    captions = pair.ours.caption(PICTURES, max_length=LENGTH)
    _, text = pair.ours._text(pair.ours.search(max_length=LENGTH).config)
    inputs = pair.family.with_pictures(text, np.stack([pair.ours.prepare(picture) for picture in PICTURES]))
    pair.theirs.sampler = sampler
    with without_warnings():
        pair.theirs.generate_step(inputs, stop_token_ids=[-1])  # step after step, without an end
    whole = ops.convert_to_numpy(sampler.log_probs)[:, 0]
    full = [len(caption.tokens) == LENGTH for caption in captions]
    values = np.array([caption.log_prob for caption in captions])
    np.testing.assert_allclose(values[full], whole[full], rtol=1e-4)
    assert (values >= whole - 1e-3).all()  # a caption that ended is a beginning of what follows


def test_a_picture_is_the_same_as_a_file_as_bytes_and_as_an_array(pali, tmp_path):
    Image.fromarray(PICTURES[0]).save(tmp_path / "a.png")
    path = tmp_path / "a.png"
    expected = pali.ours.caption(PICTURES[0], max_length=LENGTH)
    for picture in (path, str(path), path.read_bytes(), Image.open(path)):
        assert pali.ours.caption(picture, max_length=LENGTH) == expected


def test_captions_do_not_depend_on_the_batch(pali):
    many = PICTURES * 3
    assert (
        texts(pali.ours.caption(many, max_length=LENGTH)) == texts(pali.ours.caption(PICTURES, max_length=LENGTH)) * 3
    )


def test_start_begins_a_caption_and_a_prompt_does_not(pair):
    begun = pair.ours.caption(PICTURES, start="a", max_length=LENGTH)
    assert all(caption.text.startswith("a") and len(caption.tokens) <= LENGTH for caption in begun)
    asked = pair.ours.caption(PICTURES, prompt="dog", max_length=LENGTH)
    usual = pair.ours.caption(PICTURES, max_length=LENGTH)
    assert [caption.log_prob for caption in asked] != [caption.log_prob for caption in usual]
    with pytest.raises(ConfigError, match="start: has as many word pieces as max_length 1"):
        pair.ours.caption(PICTURES, start="a a a a", max_length=1)


def test_a_prompt_that_is_too_long(pali):
    with pytest.raises(ConfigError, match=r"prompt: has at least \d+ word pieces, but .* supports 23; make it shorter"):
        pali.ours.caption(PICTURES, prompt="a red dog " * 40)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("groups", 2),
        ("length_penalty", 2.0),
        ("normalization", "wu"),
        ("min_length", 3),
        ("no_repeat_ngram", 2),
        ("banned_words", ["dog"]),
        ("bad_endings", "english"),
        ("must_include", ["dog"]),
        ("allow_unk", False),
        ("diversity", 1.0),
    ],
)
def test_a_setting_that_kerashub_lacks_is_named(pali, name, value):
    assert name not in SETTINGS
    rest = {"beam_size": 2} if name == "groups" else {}
    with pytest.raises(ConfigError, match=f"^{name}: KerasHub models do not support this setting; leave it out$"):
        pali.ours.caption(PICTURES, **{name: value}, **rest)


def test_more_captions_than_the_beam_holds(pali):
    with pytest.raises(ConfigError, match="n must be at most the beam size, found 3 with beam_size 2"):
        pali.ours.caption(PICTURES, n=3, beam_size=2)
