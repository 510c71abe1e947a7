import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import captioner.captioner as captioner_module
from captioner.captioner import Captioner, load
from captioner.config import ConfigError
from captioner.encoders.config import EncoderConfig
from captioner.encoders.encoder import build_encoder
from captioner.generation.caption import Caption
from captioner.generation.config import GenerationConfig
from captioner.generation.options import GenerationOptions
from captioner.metrics.calibration import Calibration
from captioner.models.architectures import build_decoder
from captioner.run_folder import newest_run
from captioner.storage import DataError
from captioner.text.vocabulary import TextConfig, Vocabulary
from captioner.training.similar_pictures import SimilarPictures

WORDS = [["a", "dog", "runs"], ["a", "cat", "sleeps"], ["the", "dog", "sleeps"]]


@pytest.fixture
def captioner():
    keras.utils.set_random_seed(0)
    vocabulary = Vocabulary.fit(WORDS, TextConfig())
    decoder = build_decoder({"units": 8, "embedding_size": 4}, len(vocabulary), (5,))
    return Captioner(decoder, vocabulary, None, GenerationConfig(max_length=6))


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(3, 5)).astype("float32")


def test_one_file_holds_all_of_it(captioner, features, tmp_path):
    captioner.save_to(tmp_path / "captioner.keras")
    loaded = load(tmp_path)
    assert loaded.vocabulary.words == captioner.vocabulary.words
    assert loaded.generation == captioner.generation
    assert loaded.caption_features(features) == captioner.caption_features(features)


def test_keras_loads_it_too(captioner, features, tmp_path):
    captioner.save_to(tmp_path / "c.keras")
    loaded = keras.saving.load_model(tmp_path / "c.keras")
    assert isinstance(loaded, captioner_module.Captioner)
    np.testing.assert_array_equal(loaded(features)["tokens"], captioner(features)["tokens"])


def test_saving_after_captioning_keeps_no_search(captioner, features, tmp_path):
    before = captioner.caption_features(features, n=2, beam_size=4)
    captioner.save_to(tmp_path / "used.keras")
    new = Captioner(captioner.decoder, captioner.vocabulary, None, captioner.generation, name=captioner.name)
    new.save_to(tmp_path / "new.keras")
    assert (tmp_path / "used.keras").stat().st_size == (tmp_path / "new.keras").stat().st_size
    assert load(tmp_path / "used.keras").caption_features(features, n=2, beam_size=4) == before


def test_loading_saving_and_captioning_features_look_for_no_encoder(captioner, features, tmp_path, monkeypatch):
    description = {"encoder": "vgg16", "layer": "pool", "weights": "0" * 64}
    built = Captioner(captioner.decoder, captioner.vocabulary, description, captioner.generation)
    asked = []
    monkeypatch.setattr(captioner_module, "encoder_from_description", asked.append)
    built.save_to(tmp_path / "captioner.keras")
    loaded = load(tmp_path / "captioner.keras")
    loaded.caption_features(features)
    assert loaded.encoder_description == description and not asked
    loaded.find_encoder()
    assert asked == [description]


def test_settings_of_words_are_saved(captioner, tmp_path):
    generation = GenerationConfig(banned_words=("dog",), bad_endings="english", sampling=True, top_p=0.5, seed=3)
    Captioner(captioner.decoder, captioner.vocabulary, None, generation).save_to(tmp_path / "c.keras")
    assert load(tmp_path / "c.keras").generation == generation


def test_words_that_the_vocabulary_lacks_are_said(captioner, features, said):
    captions = captioner.caption_features(features, n=3, banned_words=("dog", "unicorn"))
    assert said == ["note: banned_words: 'unicorn' is not in the vocabulary"]
    assert not any("dog" in caption.tokens for picture in captions for caption in picture)


@pytest.mark.slow
def test_sampling_draws_by_the_seed_and_the_number_of_the_picture(captioner, features):
    together = captioner.caption_features(features, n=4, sampling=True, seed=7)
    assert together == captioner.caption_features(features, n=4, sampling=True, seed=7)
    assert together != captioner.caption_features(features, n=4, sampling=True, seed=8)
    later = captioner.caption_features(features[1:], n=4, first=1, sampling=True, seed=7)
    assert [[c.text for c in picture] for picture in later] == [[c.text for c in picture] for picture in together[1:]]


def test_a_batch_equals_single_calls(captioner, features):
    batch = captioner.caption_features(features)
    for row in range(3):
        assert captioner.caption_features(features[row : row + 1])[0][0].tokens == batch[row][0].tokens


def test_n_best_come_best_first(captioner, features):
    captions = captioner.caption_features(features, n=3, beam_size=5)[0]
    assert len({caption.text for caption in captions}) == 3
    scores = [caption.log_prob / max(1, len(caption.tokens) + 1) for caption in captions]
    assert scores == sorted(scores, reverse=True) or len({len(caption.tokens) for caption in captions}) > 1


def test_greedy_and_beam_of_one_are_the_same_search(captioner):
    assert type(captioner.search(beam_size=1)).__name__ == "GreedySearch"
    assert captioner.search(beam_size=1) is captioner.search(beam_size=1)


@pytest.mark.parametrize(
    ("n", "changes", "message"),
    [(1, {"beam_size": 0}, "beam_size must be 1 or more, found 0"), (5, {}, "n must be between 1 and the beam size 3")],
)
def test_impossible_searches(captioner, features, n, changes, message):
    with pytest.raises(ConfigError, match=message):
        captioner.caption_features(features, n, **changes)


def test_features_of_another_shape(captioner):
    with pytest.raises(DataError, match=r"this captioner expects the shape \(5,\) per picture, found \(7,\)"):
        captioner.caption_features(np.zeros((2, 7), "float32"))


def test_another_vocabulary_is_refused(captioner):
    other = Vocabulary.fit([["only"]], TextConfig())
    with pytest.raises(DataError, match="the vocabulary has 5 words and the decoder 10"):
        Captioner(captioner.decoder, other, None, GenerationConfig())


def test_unknown_encoder_captions_features_but_no_pictures(captioner, features):
    assert captioner.caption_features(features)
    with pytest.raises(DataError, match="without the name of their encoder"):
        captioner.caption([np.zeros((8, 8, 3), "uint8")])


@pytest.fixture(scope="module")
def seeing():
    """A captioner that has an encoder, with random weights."""
    config = EncoderConfig(backbone="efficientnet_lite0", weights="random")
    encoder = build_encoder(config)
    vocabulary = Vocabulary.fit(WORDS, TextConfig())
    keras.utils.set_random_seed(0)
    decoder = build_decoder({"units": 8, "embedding_size": 4}, len(vocabulary), encoder.feature_shape)
    return Captioner(decoder, vocabulary, encoder.description, GenerationConfig(max_length=6))


PICTURE = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)  # (height, width, 3)


def test_one_picture_gives_one_result_and_a_list_a_list(seeing, tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    one = seeing.caption(str(tmp_path / "a.png"))
    assert isinstance(one, Caption) and one.text == " ".join(one.tokens)
    assert seeing.caption(PICTURE).tokens == one.tokens
    assert seeing.caption([tmp_path / "a.png"])[0].tokens == one.tokens
    several = seeing.caption([PICTURE, Image.fromarray(PICTURE)])
    assert [caption.tokens for caption in several] == [one.tokens, one.tokens]
    assert len(seeing.caption(np.stack([PICTURE, PICTURE, PICTURE]))) == 3
    assert seeing.caption([]) == []
    best = seeing.caption(PICTURE, n=2)
    assert [type(caption) for caption in best] == [Caption, Caption] and best[0].tokens == one.tokens
    assert [len(captions) for captions in seeing.caption([PICTURE] * 2, n=2)] == [2, 2]


@pytest.mark.slow
def test_threads_on_a_fresh_captioner_build_one_encoder_and_caption_as_one_does(seeing, tmp_path, monkeypatch):
    seeing.save_to(tmp_path / "captioner.keras")
    fresh, built = load(tmp_path), []
    build_it = captioner_module.encoder_from_description

    def counted(*arguments):
        built.append(arguments)
        return build_it(*arguments)

    monkeypatch.setattr(captioner_module, "encoder_from_description", counted)
    pictures = list(np.random.default_rng(0).integers(0, 256, (8, 40, 50, 3), np.uint8))
    with ThreadPoolExecutor(8) as pool:
        found = [caption.text for caption in pool.map(fresh.caption, pictures)]
    assert len(built) == 1
    assert found == [seeing.caption(picture).text for picture in pictures]


def test_options_are_keywords(seeing):
    sampled = seeing.caption(PICTURE, n=4, sample=True, top_p=0.9, seed=1)
    assert sampled == seeing.caption(PICTURE, n=4, sampling=True, top_p=0.9, seed=1)
    assert len(seeing.caption(PICTURE, n=5)) == 5  # the beam of 3 is widened
    assert not {"dog", "cat"} & set(seeing.caption(PICTURE, banned_words=["dog", "cat"]).tokens)
    with pytest.raises(ConfigError, match="n must be between 1 and the beam size 2"):
        seeing.caption(PICTURE, n=5, beam_size=2)
    with pytest.raises(ConfigError, match="beam_size: expected a whole number, found 'many'"):
        seeing.caption(PICTURE, beam_size="many")
    with pytest.raises(ConfigError, match="n must be a whole number, 1 or more, found 0"):
        seeing.caption(PICTURE, n=0)
    with pytest.raises(TypeError, match="no option 'beam'"):
        seeing.caption(PICTURE, beam=3)


def test_every_option_is_in_the_help():
    described = re.findall(r"^ {16}([a-z_, ]+):", Captioner.caption.__doc__, flags=re.M)
    names = {name for line in described for name in line.split(", ")}
    assert names == set(GenerationOptions.__annotations__) - {"sampling"}


def test_what_is_no_picture_is_said_by_its_place(seeing):
    with pytest.raises(DataError, match="picture 1: not a picture that can be read"):
        seeing.caption([PICTURE, b"nothing"])
    with pytest.raises(TypeError, match="pictures: expected a picture or a list of pictures, found NoneType"):
        seeing.caption(None)


def test_importing_captioner_is_enough_for_keras_and_does_not_load_it(captioner, tmp_path):
    captioner.save_to(tmp_path / "c.keras")
    program = """
import sys
import captioner
assert "keras" not in sys.modules
import keras
assert "captioner.captioner" not in sys.modules
model = keras.saving.load_model(sys.argv[1])
from captioner.captioner import Captioner
assert isinstance(model, Captioner)
assert not any(type(finder).__module__.startswith("captioner") for finder in sys.meta_path)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(captioner_module.__file__).parent.parent)}
    command = [sys.executable, "-c", program, tmp_path / "c.keras"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_folder_without_a_captioner(tmp_path):
    with pytest.raises(DataError, match=r"is not a run folder, it has no captioner\.keras"):
        load(tmp_path)


def test_a_truncated_file_is_named(captioner, tmp_path):
    captioner.save_to(tmp_path / "c.keras")
    whole = (tmp_path / "c.keras").read_bytes()
    (tmp_path / "c.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"c\.keras: cannot be loaded as a captioner"):
        load(tmp_path / "c.keras")


def test_another_model_is_no_captioner(captioner, tmp_path):
    captioner.decoder.save(tmp_path / "decoder.keras")
    with pytest.raises(DataError, match="contains a MergeDecoder, not a captioner"):
        load(tmp_path / "decoder.keras")


def test_newest_run_needs_one(tmp_path):
    with pytest.raises(DataError, match="contains no trained captioner"):
        newest_run(tmp_path)


@pytest.fixture
def knowing(captioner):
    """The captioner with training pictures that it can compare with: dogs where the first channel is high."""
    rng = np.random.default_rng(1)
    dogs = np.arange(120) % 2 == 0
    vectors = (rng.normal(size=(120, 5)) + 8 * np.outer(dogs, np.eye(5)[0])).astype(np.float32)
    captions = [[["a", "dog", "runs"] if dog else ["a", "cat", "sleeps"]] for dog in dogs]
    captioner.similar = SimilarPictures.of(vectors, captions)
    return captioner


def test_consensus_chooses_among_the_beam(knowing):
    rng = np.random.default_rng(2)
    features = (rng.normal(size=(6, 5)) + 8 * np.outer([1, 0, 1, 0, 1, 0], np.eye(5)[0])).astype(np.float32)
    beam = knowing.caption_features(features, n=5, beam_size=5)
    chosen = knowing.caption_features(features, n=2, beam_size=5, consensus=50)
    for several, best in zip(beam, chosen, strict=True):
        assert all(caption.consensus is not None for caption in several)
        ranks = sorted(several, key=lambda each: -(each.score + 50 * each.consensus))[:2]
        assert [each.text for each in best] == [each.text for each in ranks]
        assert [each.score for each in best] == pytest.approx([each.score + 50 * each.consensus for each in ranks])
    assert [several[0].text for several in beam] != [best[0].text for best in chosen]
    alone = [knowing.caption_features(row[None], beam_size=5, consensus=50)[0][0].text for row in features]
    assert alone == [best[0].text for best in chosen]


def test_without_a_weight_consensus_changes_no_choice(knowing, features):
    plain = [[each.text for each in several] for several in knowing.caption_features(features, n=3)]
    knowing.similar = None
    assert [[each.text for each in several] for several in knowing.caption_features(features, n=3)] == plain


def test_sampled_captions_are_not_chosen_by_consensus(knowing, features):
    options = {"sampling": True, "seed": 3}
    plain = knowing.caption_features(features, n=2, **options)
    weighted = knowing.caption_features(features, n=2, consensus=50, **options)
    assert [[each.text for each in several] for several in plain] == [[e.text for e in several] for several in weighted]
    assert [several[0].score for several in plain] == [several[0].score for several in weighted]


def test_consensus_needs_training_pictures(captioner, features):
    with pytest.raises(ConfigError, match="consensus: this captioner has no captions of training pictures"):
        captioner.caption_features(features, consensus=6)
    settings = GenerationConfig(max_length=6, consensus=6)  # a recipe's own setting is no mistake
    quiet = Captioner(captioner.decoder, captioner.vocabulary, None, settings)
    assert [each[0].text for each in quiet.caption_features(features)] == [
        each[0].text for each in captioner.caption_features(features)
    ]


def test_consensus_survives_saving(knowing, features, tmp_path):
    knowing.save_to(tmp_path / "captioner.keras")
    loaded = load(tmp_path)
    assert loaded.caption_features(features, consensus=20) == knowing.caption_features(features, consensus=20)


def test_confidence_grows_with_the_consensus(knowing, features):
    knowing.calibration = Calibration(0.0, 1.0, 0.0, 0.3, 100, consensus=2.0)
    for several in knowing.caption_features(features, n=3):
        for each in (each for each in several if each.tokens):
            inner = each.log_prob / (len(each.tokens) + 1) + 2 * each.consensus
            assert each.confidence == pytest.approx(1 / (1 + np.exp(-inner)))


def test_consensus_in_a_script_without_spaces():
    words = [["一", "只", "狗"], ["一", "只", "猫"]]
    vocabulary = Vocabulary.fit(words * 3, TextConfig(rules="lower"))
    decoder = build_decoder({"units": 8, "embedding_size": 4}, len(vocabulary), (5,))
    captioner = Captioner(decoder, vocabulary, None, GenerationConfig(max_length=6, min_length=3))
    vectors = np.random.default_rng(0).normal(size=(120, 5)).astype("float32")
    captioner.similar = SimilarPictures.of(vectors, [words] * 120)
    [several] = captioner.caption_features(vectors[:1], n=5, beam_size=5)
    [expected] = captioner.similar.consensus(vectors[:1], [[caption.tokens for caption in several]])
    assert [caption.consensus for caption in several] == pytest.approx(expected)
