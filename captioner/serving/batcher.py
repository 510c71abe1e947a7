"""The thread in which the model runs: it takes batches of prepared pictures from a queue and captions them."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

logger = logging.getLogger(__name__)


@dataclass
class Waiting:
    """A picture in the queue.

    Attributes:
        picture: the prepared picture.
        search: its search; pictures with equal searches may share a batch.
        answer: a future that gets the picture's result or an exception, in its own event loop.
        arrived: time.monotonic() when the picture entered the queue.
    """

    picture: Any
    search: Any
    answer: asyncio.Future[Any]
    arrived: float = field(default_factory=time.monotonic)


class Batcher:
    """Run the model on batches, in one thread.

    Args:
        run: function of pictures, their search and the batch size to fill up to; returns one result per picture.
        sizes: the batch sizes that the model is compiled for, in increasing order.
        window: seconds that a picture waits for others; it does not wait if no others are expected.
        begun: called in the model's thread with the number of pictures that leave the queue.
        done: called in the model's thread with a batch's number of pictures and its duration in seconds.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Any], Any, int], Sequence[Any]],
        sizes: Sequence[int],
        window: float,
        begun: Callable[[int], None] = lambda _count: None,
        done: Callable[[int, float], None] = lambda _count, _seconds: None,
    ) -> None:
        self._run, self._sizes, self._window, self._begun, self._done = run, tuple(sizes), window, begun, done
        self._queue: deque[Waiting] = deque()
        self._expected = 0
        self._closing = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def start(self, before: Callable[[], None] = lambda: None) -> None:
        """Start the thread if it is not running; it calls `before` first."""
        with self._changed:
            if self._thread is None:
                self._closing = False
                self._thread = threading.Thread(target=self._work, args=(before,), name="model", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Run the queued pictures, and end the thread."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._closing = True
            self._changed.notify_all()
        if thread is not None:
            thread.join()

    def expect(self, change: int) -> None:
        """Change the number of pictures that are expected to enter the queue by `change`."""
        with self._changed:
            self._expected += change
            self._changed.notify_all()

    def submit(self, picture: Any, search: Any) -> asyncio.Future[Any]:
        """Queue a picture and return the future of its result; cancelled pictures are skipped."""
        waiting = Waiting(picture, search, asyncio.get_running_loop().create_future())
        with self._changed:
            self._queue.append(waiting)
            self._changed.notify_all()
        return waiting.answer

    def _work(self, before: Callable[[], None]) -> None:
        try:
            before()
        except Exception:  # requests may still work, and /readyz never reports ready
            logger.exception("the model could not be prepared")
        while batch := self._take():
            self._begun(len(batch))
            self._answer([one for one in batch if not one.answer.cancelled()])

    def _take(self) -> list[Waiting]:
        """Return the next batch: the picture that has waited longest, and others with its search. Empty at the end."""
        with self._changed:
            while not self._queue:
                if self._closing:
                    return []
                self._changed.wait()
            search, most = self._queue[0].search, self._sizes[-1]
            until = self._queue[0].arrived + self._window
            while (
                sum(one.search == search for one in self._queue) < most
                and self._expected > 0
                and not self._closing
                and (left := until - time.monotonic()) > 0
            ):
                self._changed.wait(left)
            batch = [one for one in self._queue if one.search == search][:most]
            taken = set(map(id, batch))
            self._queue = deque(one for one in self._queue if id(one) not in taken)
            return batch

    def _answer(self, batch: list[Waiting]) -> None:
        if not batch:
            return
        began = time.monotonic()
        size = next(size for size in self._sizes if size >= len(batch))
        try:
            results = self._run([one.picture for one in batch], batch[0].search, size)
        except Exception as error:
            if len(batch) > 1:  # one picture may be the reason, and the others must not fail with it
                logger.exception("a batch of %d failed; its pictures run one by one", len(batch))
                for one in batch:
                    self._answer([one])
                return
            logger.exception("the model failed")
            _settle(batch, [error])
        else:
            self._done(len(batch), time.monotonic() - began)
            _settle(batch, results)


def _settle(batch: Sequence[Waiting], results: Sequence[Any]) -> None:
    """Pass results to the event loops that wait for them."""
    loops = {one.answer.get_loop() for one in batch}
    for loop in loops:
        pairs = [
            (one.answer, result) for one, result in zip(batch, results, strict=True) if one.answer.get_loop() is loop
        ]
        try:
            loop.call_soon_threadsafe(_set, pairs)
        except RuntimeError:  # the loop has ended, so nothing waits for the results
            logger.debug("%d captions are dropped, because their event loop has ended", len(pairs))


def _set(pairs: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    for answer, result in pairs:
        if answer.done():
            continue
        if isinstance(result, Exception):
            answer.set_exception(result)
        else:
            answer.set_result(result)
