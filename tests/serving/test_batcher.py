import asyncio
import threading

import pytest

from captioner.serving.batcher import Batcher


class Model:
    """Doubles numbers; notes its batches; can be held."""

    def __init__(self, sizes=(1, 2, 4), window=0.0):
        self.batches, self.gate = [], threading.Event()
        self.gate.set()
        self.batcher = Batcher(self.run, sizes, window)

    def run(self, pictures, search, size):
        self.batches.append((list(pictures), search, size))
        assert self.gate.wait(30)
        if "bad" in pictures:
            raise ArithmeticError("bad")
        return [2 * picture for picture in pictures]


def run(model, work):
    async def main():
        model.batcher.start()
        try:
            return await work()
        finally:
            await asyncio.to_thread(model.batcher.close)

    return asyncio.run(main())


async def held_up(model, batcher):
    """Keep the model busy with a picture, so that the next ones wait together."""
    model.gate.clear()
    first = batcher.submit(0, "a")
    while not model.batches:
        await asyncio.sleep(0.001)
    return first


def test_waiting_pictures_share_a_batch_of_a_compiled_size():
    model = Model()

    async def work():
        first = await held_up(model, model.batcher)
        others = [model.batcher.submit(number, "a") for number in (1, 2, 3)]
        model.gate.set()
        return await asyncio.gather(first, *others)

    assert run(model, work) == [0, 2, 4, 6]
    assert model.batches == [([0], "a", 1), ([1, 2, 3], "a", 4)]


def test_no_batch_is_larger_than_the_largest():
    model = Model()

    async def work():
        first = await held_up(model, model.batcher)
        others = [model.batcher.submit(number, "a") for number in range(1, 7)]
        model.gate.set()
        return await asyncio.gather(first, *others)

    assert run(model, work) == [0, 2, 4, 6, 8, 10, 12]
    assert [size for _, _, size in model.batches] == [1, 4, 2]


def test_pictures_of_other_searches_have_batches_of_their_own_in_turn():
    model = Model()

    async def work():
        first = await held_up(model, model.batcher)
        others = [model.batcher.submit(number, "ab"[number % 2]) for number in range(1, 5)]
        model.gate.set()
        return await asyncio.gather(first, *others)

    assert run(model, work) == [0, 2, 4, 6, 8]
    assert model.batches[1:] == [([1, 3], "b", 2), ([2, 4], "a", 2)]


def test_a_picture_waits_for_others_that_are_expected_and_for_no_others():
    model = Model(window=30.0)

    async def work():
        alone = await model.batcher.submit(1, "a")  # would take half a minute if it waited
        model.batcher.expect(1)
        one = model.batcher.submit(2, "a")
        await asyncio.sleep(0.05)
        other = model.batcher.submit(3, "a")
        model.batcher.expect(-1)
        return [alone, await one, await other]

    assert run(model, work) == [2, 4, 6]
    assert [pictures for pictures, _, _ in model.batches] == [[1], [2, 3]]


def test_the_window_ends_the_waiting():
    model = Model(window=0.02)

    async def work():
        model.batcher.expect(1)  # a picture that never comes
        return await model.batcher.submit(1, "a")

    assert run(model, work) == 2


def test_a_cancelled_picture_is_passed_over():
    model = Model()

    async def work():
        first = await held_up(model, model.batcher)
        gone, there = model.batcher.submit(1, "a"), model.batcher.submit(2, "a")
        gone.cancel()
        model.gate.set()
        return await asyncio.gather(first, there)

    assert run(model, work) == [0, 4]
    assert model.batches[1] == ([2], "a", 1)


def test_a_picture_that_the_model_fails_on_harms_no_other():
    model = Model()

    async def work():
        first = await held_up(model, model.batcher)
        others = [model.batcher.submit(picture, "a") for picture in (1, "bad", 3)]
        model.gate.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    found = run(model, work)
    assert [found[0], found[1], found[3]] == [0, 2, 6]
    assert isinstance(found[2], ArithmeticError)


def test_closing_runs_what_is_queued():
    model = Model()

    async def work():
        first = await held_up(model, model.batcher)
        others = [model.batcher.submit(number, "a") for number in range(1, 7)]
        closing = asyncio.create_task(asyncio.to_thread(model.batcher.close))
        await asyncio.sleep(0.02)
        model.gate.set()
        await closing
        return await asyncio.wait_for(asyncio.gather(first, *others), 30)

    assert run(model, work) == [0, 2, 4, 6, 8, 10, 12]


@pytest.mark.parametrize("batch", [0, 3, -4])
def test_batches_are_powers_of_two(batch):
    from captioner.config import ConfigError
    from captioner.serving.limits import Limits

    with pytest.raises(ConfigError, match="batch: must be"):
        Limits(batch=batch)


def test_compiled_sizes():
    from captioner.serving.limits import Limits

    assert Limits(batch=16).batch_sizes == (1, 2, 4, 8, 16) and Limits(batch=1).batch_sizes == (1,)
