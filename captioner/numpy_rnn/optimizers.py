"""SGD with momentum, Adam, and clipping by the global norm. They change weights in place."""

from __future__ import annotations

import numpy as np

from captioner.numpy_rnn.cells import Weights


class NumpySGD:
    """Stochastic gradient descent with classical momentum (Polyak 1964).

    v <- momentum v - learning_rate g,  w <- w + v
    """

    def __init__(self, learning_rate: float = 0.01, momentum: float = 0.0) -> None:
        self.learning_rate, self.momentum = learning_rate, momentum
        self.velocity: Weights = {}

    def update(self, weights: Weights, gradients: Weights) -> None:
        """Take one step; both map the same names to arrays of the same shapes."""
        for name, gradient in gradients.items():
            velocity = self.velocity.setdefault(name, np.zeros_like(weights[name]))
            velocity *= self.momentum
            velocity -= self.learning_rate * gradient
            weights[name] += velocity


class NumpyAdam:
    """Adam (Kingma & Ba 2015, algorithm 1).

    m <- beta_1 m + (1 - beta_1) g,  v <- beta_2 v + (1 - beta_2) g^2
    w <- w - learning_rate (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon)
    """

    def __init__(
        self, learning_rate: float = 1e-3, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8
    ) -> None:
        self.learning_rate, self.beta_1, self.beta_2, self.epsilon = learning_rate, beta_1, beta_2, epsilon
        self.first: Weights = {}  # m, the running mean of the gradients
        self.second: Weights = {}  # v, the running mean of their squares
        self.steps = 0

    def update(self, weights: Weights, gradients: Weights) -> None:
        """Take one step; both map the same names to arrays of the same shapes."""
        self.steps += 1
        for name, gradient in gradients.items():
            first = self.first.setdefault(name, np.zeros_like(weights[name]))
            second = self.second.setdefault(name, np.zeros_like(weights[name]))
            first += (1 - self.beta_1) * (gradient - first)
            second += (1 - self.beta_2) * (gradient**2 - second)
            mean = first / (1 - self.beta_1**self.steps)  # both begin at 0; this takes the bias away
            square = second / (1 - self.beta_2**self.steps)
            weights[name] -= self.learning_rate * mean / (np.sqrt(square) + self.epsilon)


def clip_by_global_norm(gradients: Weights, limit: float) -> float:
    """Scale all gradients in place so that their common norm is at most `limit` (Pascanu et al. 2013, algorithm 1).

    Returns:
        The norm before.
    """
    norm = float(np.sqrt(sum(float((gradient**2).sum()) for gradient in gradients.values())))
    if norm > limit:
        for gradient in gradients.values():
            gradient *= limit / norm
    return norm
