import base64

import numpy as np
import pytest

from captioner.captioner import Captioner
from captioner.features.store import open_features, write_features
from captioner.generation.config import GenerationConfig
from captioner.report.attention import attention_maps
from captioner.report.pictures import Shown
from captioner.text.vocabulary import TextConfig, Vocabulary
from tests.generation.toy import TableDecoder, random_table

WORDS = ["dog", "cat", "runs", "sits"]


@pytest.fixture
def features(tmp_path):
    rng = np.random.default_rng(0)
    write_features(tmp_path / "f.pkl", {f"p{n}": rng.normal(size=8).astype("float32") for n in range(5)}, None)
    return open_features(tmp_path / "f.pkl")


def captioner(regions):
    decoder = TableDecoder(random_table(6, 8), regions)
    description = {"input_size": (10, 20), "resizing": "crop"}
    vocabulary = Vocabulary.fit([WORDS], TextConfig())
    return Captioner(decoder, vocabulary, description, GenerationConfig(beam_size=2, max_length=6))


def test_each_caption_gets_a_map_a_word(features, said):
    model = captioner(8)
    captions = {image_id: model.caption_features(features.gather([image_id]))[0][0] for image_id in features}
    shown = {image_id: Shown(caption.text, 30, 30) for image_id, caption in captions.items()}
    maps = attention_maps(model, features, {**shown, "unknown": Shown("a dog", 3, 3)}, {})
    assert maps.keys() == {image_id for image_id, caption in captions.items() if caption.tokens}
    for image_id, found in maps.items():
        assert found["words"] == list(captions[image_id].tokens)
        assert found["columns"] == 4 and found["box"] == [0.0, 0.25, 1.0, 0.5]
        levels = np.array([list(base64.b64decode(one)) for one in found["maps"]])
        assert (levels.argmax(axis=1) == captions[image_id].attention.argmax(axis=1)).all()
    assert said[0] == "captioning 5 pictures again for their attention maps"


def test_a_picture_that_gets_another_caption_has_no_maps(features, said):
    model = captioner(8)
    shown = {image_id: Shown("something else", 30, 30) for image_id in features}
    assert attention_maps(model, features, shown, {"beam_size": 1}) == {}
    assert said[-1] == "note: 5 pictures now get a different caption; they are shown without attention"


def test_a_decoder_without_attention_gives_none_and_says_nothing(features, said):
    assert attention_maps(captioner(0), features, {"p0": Shown("a dog", 3, 3)}, {}) == {}
    assert said == []
