import numpy as np
import pytest
from keras import ops

from captioner.generation.ensemble import EnsembleDecoder
from captioner.models.architectures import build_decoder
from tests.generation.toy import (
    TableDecoder,
    assert_same,
    caption_of,
    every_caption,
    log_prob_of,
    log_softmax,
    random_features,
    random_table,
    search,
)


def test_captions_have_the_mean_of_the_members_log_probabilities_and_are_the_best_by_it():
    tables = [random_table(4, seed=seed) for seed in (1, 2, 3)]
    features = [random_features(3, seed=seed) for seed in (4, 5, 6)]
    ensemble = EnsembleDecoder([TableDecoder(table) for table in tables])
    found = search(ensemble, tuple(features), 3, beam_size=700, max_length=4)
    for picture in range(3):
        each = [log_softmax(table + own[picture]) for table, own in zip(tables, features, strict=True)]
        ranked = sorted(every_caption(np.mean(each, axis=0), 4), key=lambda pair: -pair[1] / len(pair[0]))
        for rank in range(3):
            tokens = caption_of(found, picture, rank)
            assert tokens == ranked[rank][0]
            mean = np.mean([log_prob_of(log_probs, tokens) for log_probs in each])
            assert found["log_probs"][picture, rank] == pytest.approx(mean, abs=1e-4)


@pytest.mark.parametrize("settings", [{"beam_size": 1}, {"beam_size": 4}, {"sampling": True}])
def test_an_ensemble_of_one_decoder_twice_is_that_decoder(settings):
    decoder, features = TableDecoder(random_table(8, seed=1), regions=5), random_features(40)
    ensemble = EnsembleDecoder([decoder, decoder])
    together = search(ensemble, (features, features), max_length=8, **settings)
    assert_same(together, search(decoder, features, max_length=8, **settings))


def test_attention_is_the_mean_where_the_members_look_at_the_same_regions():
    features = random_features(2)
    for regions, expected in (((5, 5), 5), ((5, 0), 5), ((5, 6), 0), ((0, 0), 0)):
        members = [TableDecoder(random_table(4, seed=seed), own) for seed, own in enumerate(regions)]
        found = search(EnsembleDecoder(members), (features, features), beam_size=2, max_length=4)
        assert ("attention" in found) == bool(expected)
        if expected:
            assert found["attention"].shape == (2, 1, 4, expected)
            np.testing.assert_allclose(found["attention"][:, :, 0].sum(axis=-1), 1.0)


def test_members_of_different_shapes_step_as_they_are_teacher_forced():
    first = build_decoder({"units": 6, "embedding_size": 4}, 11, (5,))
    second = build_decoder({"units": 3, "embedding_size": 7, "cell": "gru"}, 11, (8,))
    ensemble = EnsembleDecoder([first, second])
    assert ensemble.feature_shape == ((5,), (8,))
    rng = np.random.default_rng(0)
    features = tuple(rng.normal(size=(3, channels)).astype("float32") for channels in (5, 8))
    tokens = rng.integers(1, 11, (3, 6)).astype("int32")
    whole = ops.convert_to_numpy(ensemble((features, tokens)))  # (pictures, time, words)
    np.testing.assert_allclose(np.exp(whole).sum(axis=-1), 1.0, atol=1e-5)
    memory = ensemble.encode(features)
    state = ensemble.initial_state(memory, 6)
    for position in range(6):
        logits, state, _ = ensemble.step(tokens[:, position], ops.convert_to_tensor(position), state, memory)
        np.testing.assert_allclose(ops.convert_to_numpy(logits), whole[:, position], atol=1e-5)


def test_vocabularies_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="the members of an ensemble have 9 and 10 words"):
        EnsembleDecoder([TableDecoder(random_table(2)), TableDecoder(random_table(2, words=10))])
