"""One recurrent layer run over whole captions, with its backward pass written out.

Left to the backends, a step of the backward pass multiplies for the kernel's gradient, too, and pads what the next one
needs. Written out, a step has one product, and the kernel's gradient is one product over all steps.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from captioner.models.layout import LongestFirst

Tensor = Any


def forward(cell: str, read: Tensor, recalled: Tensor, state: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], Tensor]:
    """Return a cell's next state, its output first, and what `backward` needs of the step.

    Gates in Keras' order: i f g o of an LSTM (Hochreiter and Schmidhuber 1997), z r g of a GRU (Cho et al. 2014, eq. 5
    to 8, the reset gate after the product).

    Args:
        cell: `rnn`, `gru` or `lstm`.
        read: (n, gates x units), input times kernel, plus bias.
        recalled: (n, gates x units), previous output times recurrent kernel, plus recurrent bias.
        state: the previous one, arrays (n, units).
    """
    if cell == "rnn":
        h = ops.tanh(read + recalled)
        return (h,), h
    if cell == "lstm":
        i, f, g, o = ops.split(read + recalled, 4, axis=-1)
        i, f, g, o = ops.sigmoid(i), ops.sigmoid(f), ops.tanh(g), ops.sigmoid(o)
        memory = f * state[1] + i * g
        return (o * ops.tanh(memory), memory), ops.concatenate([i, f, g, o], axis=-1)
    read_z, read_r, read_g = ops.split(read, 3, axis=-1)
    recalled_z, recalled_r, recalled_g = ops.split(recalled, 3, axis=-1)
    z, r = ops.sigmoid(read_z + recalled_z), ops.sigmoid(read_r + recalled_r)
    g = ops.tanh(read_g + r * recalled_g)
    return (z * state[0] + (1 - z) * g,), ops.concatenate([z, r, g, recalled_g], axis=-1)


def backward(
    cell: str, gates: Tensor, before: tuple[Tensor, ...], now: tuple[Tensor, ...], upstream: tuple[Tensor, ...]
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return a step's gradients: of `read` and `recalled`, and of the previous state but for its way by `recalled`.

    The first two are one tensor where they are equal, as in all cells but the GRU.

    Args:
        cell: `rnn`, `gru` or `lstm`.
        gates: from `forward`.
        before, now: the states before and after.
        upstream: gradients of the state after, arrays (n, units).
    """
    if cell == "rnn":
        dz = upstream[0] * (1 - ops.square(gates))
        return (dz,), (ops.zeros_like(upstream[0]),)
    if cell == "lstm":
        i, f, g, o = ops.split(gates, 4, axis=-1)
        out = ops.tanh(now[1])
        dmemory = upstream[1] + upstream[0] * o * (1 - ops.square(out))
        parts = (dmemory * g * i * (1 - i), dmemory * before[1] * f * (1 - f), dmemory * i * (1 - ops.square(g)))
        dz = ops.concatenate([*parts, upstream[0] * out * o * (1 - o)], axis=-1)
        return (dz,), (ops.zeros_like(upstream[0]), dmemory * f)
    z, r, g, recalled_g = ops.split(gates, 4, axis=-1)
    dg = upstream[0] * (1 - z) * (1 - ops.square(g))
    dz, dr = upstream[0] * (before[0] - g) * z * (1 - z), dg * recalled_g * r * (1 - r)
    dread, drecalled = ops.concatenate([dz, dr, dg], axis=-1), ops.concatenate([dz, dr, dg * r], axis=-1)
    return (dread, drecalled), (upstream[0] * z,)


def run(
    cell: str,
    read: Tensor,
    state: tuple[Tensor, ...],
    kernel: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    longest: LongestFirst,
) -> Tensor:
    """Run a cell over captions, the longest first.

    Args:
        cell: `rnn`, `gru` or `lstm`.
        read: (time, rows, gates x units), input times kernel, plus bias.
        state: what the rows begin with, arrays (rows, units).
        kernel: (units, gates x units), for the previous output.
        bias: (gates x units,) that is added to it, of a GRU only.
        mask: (rows, units), by which the previous output is multiplied where it is read; None for no dropout.
        longest: how many rows a step has work with.

    Returns:
        the outputs, (time, rows, units).
    """
    width = state[0].shape[-1] * (1 if cell == "rnn" else 4)  # of what forward keeps
    gates_width = read.shape[-1]

    def recall(output: Tensor, rows: Tensor) -> Tensor:
        return output if mask is None else output * mask[:rows]

    # Keras' scan over several tensors does not take lengths that vary, so it runs over the steps' numbers.
    @ops.custom_gradient
    def outputs_of(read: Tensor, kernel: Tensor, bias: Tensor, *state: Tensor) -> Any:
        steps, rows = ops.arange(ops.shape(read)[0], dtype="int32"), ops.shape(read)[1]

        def advance(carry: tuple[Tensor, ...], step: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
            _, *before = carry
            active = longest.open(step)
            first = tuple(leaf[:active] for leaf in before)
            recalled = ops.matmul(recall(first[0], active), kernel) + bias
            now, new_gates = forward(cell, read[step, :active], recalled, first)
            kept = tuple(
                ops.concatenate([new, old[active:]]) for new, old in zip((new_gates, *now), carry, strict=True)
            )
            return kept, kept  # on TensorFlow both have to be alike

        _, (gates, *states) = ops.scan(advance, (ops.zeros((rows, width), read.dtype), *state), steps)

        def gradient(*args: Tensor, upstream: Tensor = None) -> Any:
            upstream = args[0] if upstream is None else upstream  # (time, rows, units)
            before = [ops.concatenate([first[None], leaf[:-1]]) for first, leaf in zip(state, states, strict=True)]
            transposed = ops.transpose(kernel)

            def retreat(carry: tuple[Tensor, ...], step: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
                after = carry[: len(state)]
                active = longest.open(step)
                old, new = (tuple(leaf[step, :active] for leaf in leaves) for leaves in (before, states))
                doutput, *others = (leaf[:active] for leaf in after)
                changes = (doutput + upstream[step, :active], *others)
                products, dstate = backward(cell, gates[step, :active], old, new, changes)
                doutput = dstate[0] + recall(ops.matmul(products[-1], transposed), active)
                kept = [ops.concatenate([x, y[active:]]) for x, y in zip((doutput, *dstate[1:]), after, strict=True)]
                kept += [ops.concatenate([x, nothing[active:]]) for x in products]
                return tuple(kept), tuple(kept)

            nothing = ops.zeros((rows, gates_width), upstream.dtype)  # not like `read`, which would have to be kept
            start = [ops.zeros_like(leaf) for leaf in state] + [nothing] * (2 if cell == "gru" else 1)
            last, gradients = ops.scan(retreat, tuple(start), steps, reverse=True)
            dread, drecalled = gradients[len(state)], gradients[-1]
            recalled_from = before[0] if mask is None else before[0] * mask
            flat = [ops.reshape(x, (-1, x.shape[-1])) for x in (recalled_from, drecalled)]
            return dread, ops.matmul(ops.transpose(flat[0]), flat[1]), ops.sum(flat[1], axis=0), *last[: len(state)]

        return states[0], gradient

    bias = ops.zeros((read.shape[-1],), read.dtype) if bias is None else bias
    return outputs_of(read, kernel, bias, *state)
