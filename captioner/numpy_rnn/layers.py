"""The layers around the cells, forward and backward: affine map, word embedding, softmax loss over time.

Every `forward` returns its output and a cache; the `backward` of the same name takes the gradient of the loss with
respect to that output, and the cache, and returns the gradients with respect to the inputs, in the inputs' order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Tokens = NDArray[np.integer]


def affine_forward(x: Array, w: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
    """Compute y = x W + b over the last axis.

    Args:
        x: (..., D), any number of leading axes: (N, D) for pictures, (N, T, D) for words in time.
        w: (D, M).
        b: (M,).

    Returns:
        y (..., M), and the cache.
    """
    rows = x.reshape(-1, x.shape[-1])  # one large matrix product is faster than one a picture
    return (rows @ w + b).reshape(*x.shape[:-1], w.shape[1]), (x, w)


def affine_backward(dy: Array, cache: tuple[Array, Array]) -> tuple[Array, Array, Array]:
    """Return dx (..., D), dw (D, M) and db (M,) from dy (..., M)."""
    x, w = cache
    rows = x.reshape(-1, x.shape[-1])  # (pictures x steps, D): all of them share w and b, so their gradients add up
    drows = dy.reshape(-1, dy.shape[-1])  # (pictures x steps, M)
    return (drows @ w.T).reshape(x.shape), rows.T @ drows, drows.sum(axis=0)


def embedding_forward(tokens: Tokens, w: Array) -> tuple[Array, tuple[Tokens, tuple[int, ...]]]:
    """Look up word vectors.

    Args:
        tokens: (N, T) integers from 0 to V - 1.
        w: (V, D), one row a word.

    Returns:
        x (N, T, D), and the cache.
    """
    return w[tokens], (tokens, w.shape)


def embedding_backward(dx: Array, cache: tuple[Tokens, tuple[int, ...]]) -> Array:
    """Return dw (V, D) from dx (N, T, D). Tokens have no gradient."""
    tokens, shape = cache
    dw = np.zeros(shape, dtype=dx.dtype)
    np.add.at(dw, tokens, dx)  # unlike dw[tokens] += dx, this adds up a word that occurs more than once
    return dw


def temporal_softmax_loss(logits: Array, targets: Tokens, mask: NDArray[np.bool_]) -> tuple[float, Array]:
    """Cross-entropy of the next word, averaged over the real words of all captions.

    loss = -1/M sum over real (n, t) of log softmax(logits[n, t])[targets[n, t]], M the number of real words. Its
    gradient is (softmax - one-hot) / M where the word is real, 0 where it is padding (Bishop 2006, equation 4.109).

    Args:
        logits: (N, T, V).
        targets: (N, T) the words to be predicted.
        mask: (N, T) True where the target is a real word, False where it is padding.

    Returns:
        The loss in nats per word (0 where there is no real word), and dlogits (N, T, V).
    """
    count = max(1, int(mask.sum()))
    shifted = logits - logits.max(axis=-1, keepdims=True)  # the same softmax, and exp cannot overflow
    of_targets = np.take_along_axis(shifted, targets[..., None], axis=-1)  # (N, T, 1)
    exps = np.exp(shifted, out=shifted)  # in place: arrays of this size take longer to make than to compute
    sums = exps.sum(axis=-1, keepdims=True)  # (N, T, 1)
    loss = -float(((of_targets - np.log(sums))[..., 0] * mask).sum()) / count
    share = mask[..., None] / np.asarray(count, dtype=logits.dtype)  # of the mean, (N, T, 1)
    dlogits = np.multiply(exps, share / sums, out=exps)
    rows, steps = np.indices(targets.shape)
    dlogits[rows, steps, targets] -= share[..., 0]
    return loss, dlogits
