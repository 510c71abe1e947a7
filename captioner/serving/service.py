"""Caption the pictures of requests, or report why a picture has no caption."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from captioner.images.decode import TooManyPixelsError
from captioner.images.files import HEAD_BYTES, NotAPictureError, kind_of
from captioner.serving.batcher import Batcher
from captioner.serving.limits import MIB, Limits
from captioner.serving.metrics import Metrics
from captioner.serving.model import PreparedPicture, SearchChoice, ServedModel
from captioner.serving.options import Options
from captioner.serving.refusal import RefusalError
from captioner.storage import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from captioner.generation.caption import Caption

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


class Answered(NamedTuple):
    """A picture's captions, best first, and its size (height, width)."""

    captions: list[Caption]
    size: tuple[int, int]


class CaptionService:
    """Decode pictures in threads, caption them in batches, and refuse requests beyond the limits.

    Args:
        model: the captioner.
        limits: of requests.
        metrics: the counters.
    """

    def __init__(self, model: ServedModel, limits: Limits, metrics: Metrics) -> None:
        self.model, self.limits, self.metrics = model, limits, metrics
        self.ready, self._ending = threading.Event(), threading.Event()
        self._decoders = ThreadPoolExecutor(limits.decoders, thread_name_prefix="decode")
        self._waiting, self._lock = 0, threading.Lock()
        self._batcher = Batcher(
            model.caption, limits.batch_sizes, limits.window, begun=self._leave_queue, done=self._count
        )

    def start(self) -> None:
        """Start compiling the model, unless it has started already."""
        self._batcher.start(self._compile)

    def close(self) -> None:
        """Answer the accepted requests, then stop."""
        self._ending.set()
        self.ready.clear()
        self.metrics.ready.set(0)
        self._batcher.close()
        self._decoders.shutdown()

    async def in_thread(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Run a function that takes time in a decoding thread."""
        return await asyncio.get_running_loop().run_in_executor(self._decoders, work, *arguments)

    async def caption(
        self, pictures: Sequence[bytes | RefusalError], options: Options
    ) -> list[Answered | RefusalError]:
        """Caption pictures; each gets its result or its error, independent of the others.

        Args:
            pictures: encoded pictures, or errors that are returned unchanged.
            options: the options of the request.

        Raises:
            RefusalError: the model does not support the options (400), the queue is full (503), or there are more
                pictures than the queue can hold (413).
        """
        self.start()
        search_for = self.model.search_for
        search = await self.in_thread(search_for, options) if options.prompt else search_for(options)
        wanted = sum(isinstance(picture, bytes) for picture in pictures)
        self._enter_queue(wanted)
        deadline = time.monotonic() + self.limits.deadline
        return list(await asyncio.gather(*(self._one(picture, search, deadline) for picture in pictures)))

    async def _one(
        self, picture: bytes | RefusalError, search: SearchChoice, deadline: float
    ) -> Answered | RefusalError:
        if isinstance(picture, RefusalError):
            return picture
        prepared = await self._prepared(picture, deadline)
        if isinstance(prepared, RefusalError):
            return prepared
        answer = self._batcher.submit(prepared, search)
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return Answered(await answer, prepared.size)
        except TimeoutError:
            return self._too_late()
        except Exception:  # the batcher has logged it
            return RefusalError(500, "the model failed on this picture; see the server's log")

    async def _prepared(self, picture: bytes, deadline: float) -> PreparedPicture | RefusalError:
        """Decode a picture; if it cannot be decoded, it leaves the queue."""
        found: PreparedPicture | RefusalError | None = None
        self._batcher.expect(1)
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                found = await self.in_thread(self._prepare, picture)
        except TimeoutError:
            found = self._too_late()
        finally:
            self._batcher.expect(-1)
            if not isinstance(found, PreparedPicture):
                self._leave_queue(1)
        return found

    def _prepare(self, picture: bytes) -> PreparedPicture | RefusalError:
        if len(picture) > self.limits.picture_bytes:
            return RefusalError(
                413, f"the picture is larger than {self.limits.picture_bytes / MIB:.3g} MiB; shrink it first"
            )
        try:
            return self.model.prepare(picture, self.limits.pixels)
        except TooManyPixelsError:
            return RefusalError(413, "the picture: claims more pixels than this server decodes; shrink it first")
        except NotAPictureError as error:
            if kind_of(picture[:HEAD_BYTES]) not in (None, "HEIC"):
                return RefusalError(400, "the picture: broken or truncated; replace it")
            return RefusalError(415 if picture else 400, str(error))
        except DataError as error:
            return RefusalError(400, str(error))

    def _too_late(self) -> RefusalError:
        return RefusalError(504, f"no answer within {self.limits.deadline:g} s; the server is busy", 1)

    def _enter_queue(self, count: int) -> None:
        if count > self.limits.queue:
            raise RefusalError(413, f"{count} pictures are too many for one request; send up to {self.limits.queue}")
        with self._lock:
            if self._waiting + count > self.limits.queue:
                raise RefusalError(503, "the queue is full; try again in a moment", 1)
            self._waiting += count
            self.metrics.queued.set(self._waiting)

    def _leave_queue(self, count: int) -> None:
        with self._lock:
            self._waiting -= count
            self.metrics.queued.set(self._waiting)

    def _count(self, pictures: int, seconds: float) -> None:
        self.metrics.batches.observe(pictures)
        self.metrics.batch_seconds.observe(seconds)
        self.metrics.pictures.inc(pictures)

    def _compile(self) -> None:
        """Run every batch size once with default settings, and the smallest with several captions."""
        began = time.monotonic()
        blank = self.model.blank()
        usual = self.model.search_for(Options())
        wanted = [(usual, size) for size in self.limits.batch_sizes]
        with contextlib.suppress(RefusalError):  # not every KerasHub model supports beam search
            wanted.append((self.model.search_for(Options(n=2)), 1))
        for search, size in wanted:
            if self._ending.is_set():
                return
            self.model.caption([blank], search, size)
        self.ready.set()
        self.metrics.ready.set(1)
        sizes = ", ".join(map(str, self.limits.batch_sizes))
        with contextlib.suppress(OSError):  # stderr is closed, but this thread must continue
            logger.info("ready: compiled for batches of %s in %.1f s", sizes, time.monotonic() - began)
