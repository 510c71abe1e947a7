import numpy as np

from captioner.data.batches import CaptionBatches, make_batch
from captioner.models.architectures import build_decoder
from captioner.training.losses import CaptionLoss


class Rows:
    """Features whose only number is the picture's."""

    def gather(self, ids):
        return np.array([[float(image_id)] for image_id in ids], dtype="float32")


def captions_of(count, seed=0):
    rng = np.random.default_rng(seed)
    return {
        str(picture): [[1, *([picture + 4] * rng.integers(1, 12)), 2] for _ in range(rng.integers(1, 6))]
        for picture in range(count)
    }


def test_layout_of_a_batch():
    batch = make_batch(np.zeros((2, 3), "float32"), [[[1, 7, 8, 2], [1, 9, 2]], [[1, 6, 2]]])
    assert batch.tokens.tolist() == [[[1, 7, 8], [1, 9, 0]], [[1, 6, 0], [0, 0, 0]]]
    assert batch.targets.tolist() == [7, 8, 2, 9, 2, 6, 2]
    assert batch.positions.tolist() == [0, 1, 2, 3, 4, 6, 7]
    assert batch.weights.tolist() == [1.0] * 7


def test_rounding_up_adds_only_positions_without_weight():
    captions = [[[1, 7, 8, 2], [1, 9, 2]], [[1, 6, 2]]]
    plain, rounded = make_batch(np.zeros((2, 3)), captions), make_batch(np.zeros((2, 3)), captions, multiple=4)
    assert rounded.tokens.shape == (2, 2, 4)
    assert sorted(rounded.positions.tolist()) == list(range(16))  # no more places than there are, each once
    real = rounded.weights > 0
    assert rounded.targets[real].tolist() == plain.targets.tolist()
    read = rounded.tokens.reshape(-1)[rounded.positions[real]]
    assert read.tolist() == plain.tokens.reshape(-1)[plain.positions].tolist()


def test_keras_takes_batches_of_any_sizes():
    captions = {str(picture): [[1, 5, 2]] * 2 for picture in range(12)}
    captions |= {str(picture): [[1, 5, 6, 7, 8, 2]] * 3 for picture in range(12, 20)}
    model = {"architecture": "merge", "units": 4, "embedding_size": 4}
    decoder = build_decoder(model, vocabulary_size=10, feature_shape=(1,))
    decoder.compile(loss=CaptionLoss(), jit_compile=False)
    for seed in range(6):
        batches = CaptionBatches(Rows(), captions, 2, seed)
        assert 0 < decoder.evaluate(batches.for_keras(), verbose=0) < 50


def test_keras_is_given_the_batches_as_they_are():
    batches = CaptionBatches(Rows(), captions_of(20), 8, seed=0)
    given = batches.for_keras()
    for epoch in (0, 3):
        batches.start_at(epoch)
        found = [given[index] for index in range(3)] if given is batches else list(given)
        assert len(found) == len(batches) == 3
        for index, ((features, tokens, positions), targets, weights) in enumerate(found):
            for one, other in zip((features, tokens, positions, targets, weights), batches.batch(index), strict=True):
                assert np.asarray(one).dtype == other.dtype
                assert np.array_equal(one, other)


def test_an_epoch_sees_every_word_of_every_picture_once():
    captions = captions_of(103)
    batches = CaptionBatches(Rows(), captions, 8, seed=1)
    assert len(batches) == 13
    seen = {}
    for index in range(len(batches)):
        batch = batches.batch(index)
        for row, picture in enumerate(batch.features[:, 0].astype(int)):
            assert picture not in seen
            seen[picture] = int((batch.tokens[row] == picture + 4).sum())
    assert seen == {int(i): sum(c.count(int(i) + 4) for c in picture) for i, picture in captions.items()}


def test_epochs_differ_and_a_seed_repeats_them():
    first, again = (CaptionBatches(Rows(), captions_of(64), 8, seed=5) for _ in range(2))
    opening = first.batch(0).features.tolist()
    assert opening == again.batch(0).features.tolist()
    first.start_at(1)
    assert opening != first.batch(0).features.tolist()
    again.start_at(1)
    assert first.batch(0).features.tolist() == again.batch(0).features.tolist()


def test_sorting_by_length_leaves_little_padding():
    rng = np.random.default_rng(0)
    captions = {str(i): [[1, *([5] * int(n)), 2] for n in rng.integers(5, 20, 5)] for i in range(640)}
    batches = CaptionBatches(Rows(), captions, 32, seed=0)
    cells = sum(batches.batch(index).tokens.size for index in range(len(batches)))
    longest_of_a_picture = sum(5 * (max(map(len, picture)) - 1) for picture in captions.values())
    assert cells < 1.05 * longest_of_a_picture


def test_an_epoch_over_few_pictures_goes_over_them_several_times():
    captions = captions_of(10)
    batches = CaptionBatches(Rows(), captions, 4, seed=0, least_steps=8)  # 3 batches a pass
    assert (batches.passes, len(batches)) == (3, 9)
    seen = [int(row) for index in range(9) for row in batches.batch(index).features[:, 0]]
    assert sorted(seen) == sorted([*range(10)] * 3)
    assert sorted(seen[:10]) == [*range(10)] and seen[:10] != seen[10:20]
    once = CaptionBatches(Rows(), captions, 4, seed=0, least_steps=3)
    assert once.passes == 1 and len(once) == 3
