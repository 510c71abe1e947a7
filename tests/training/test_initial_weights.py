import numpy as np
import pytest
from keras import ops

from captioner.models.architectures import build_decoder
from captioner.text.vocabulary import TextConfig, Vocabulary
from captioner.training.initial_weights import initialize_embeddings, log_frequencies

CAPTIONS = [["a", "dog", "runs"], ["a", "cat"], ["a", "dog"]]


@pytest.fixture
def vocabulary():
    return Vocabulary.fit(CAPTIONS, TextConfig())  # the specials, a, dog, cat, runs


def make(vocabulary, **settings):
    return build_decoder({"units": 6, "embedding_size": 3, **settings}, len(vocabulary), (4,))


def test_log_frequencies_count_what_is_predicted(vocabulary):
    encoded = [vocabulary.encode(caption) for caption in CAPTIONS]
    shares = np.exp(log_frequencies(encoded, len(vocabulary)))
    # Predicted are 3 times <end>, 3 a, 2 dog, 1 cat, 1 runs: 10 words, and one more of each of the 8.
    np.testing.assert_allclose(shares, np.array([1, 1, 4, 1, 4, 3, 2, 2]) / 18, rtol=1e-6)


@pytest.mark.parametrize("tied", [False, True])
def test_an_untrained_model_predicts_the_frequencies(vocabulary, tied):
    decoder = make(vocabulary, output_bias="frequency", tied=tied)
    encoded = [vocabulary.encode(caption) for caption in CAPTIONS]
    initialize_embeddings(decoder, vocabulary, encoded)
    logits = decoder.logits(np.zeros((1, 6), "float32"))
    np.testing.assert_allclose(ops.softmax(logits)[0], np.exp(log_frequencies(encoded, len(vocabulary))), rtol=1e-5)


def test_vectors_from_a_file(vocabulary, tmp_path, said):
    path = tmp_path / "glove.txt"
    path.write_text("dog 1 2 3\na -1 -2 -3\nhorse 0 0 0\n")
    decoder = make(vocabulary, embeddings=str(path))
    initialize_embeddings(decoder, vocabulary, [])
    table = ops.convert_to_numpy(decoder.words.embedding.embeddings)
    assert table[4].tolist() == [-1, -2, -3]
    assert table[5].tolist() == [1, 2, 3]
    assert np.std(np.delete(table, [4, 5], axis=0)) == pytest.approx(np.std([1, 2, 3, -1, -2, -3]), rel=0.5)
    assert said == [f"{path}: has vectors for 2 words and lacks 2 (most frequent: cat, runs), which start at random"]


def test_frozen_embeddings_stay(vocabulary, tmp_path, said):
    path = tmp_path / "glove.txt"
    path.write_text("dog 1 2 3\n")
    decoder = make(vocabulary, embeddings=str(path), freeze_embeddings=True)
    initialize_embeddings(decoder, vocabulary, [])
    before = ops.convert_to_numpy(decoder.words.embedding.embeddings)
    decoder.compile("sgd", "sparse_categorical_crossentropy")
    tokens = np.array([[1, 4, 5]], "int32")
    decoder.train_on_batch((np.ones((1, 4), "float32"), tokens), np.array([[4, 5, 2]]))
    np.testing.assert_array_equal(ops.convert_to_numpy(decoder.words.embedding.embeddings), before)
