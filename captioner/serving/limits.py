"""The server's limits."""

from __future__ import annotations

from dataclasses import dataclass

from captioner.config import ConfigError
from captioner.images.decode import MAX_PIXELS

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """The limits of one server process. A request beyond a limit is refused with the status in brackets.

    Attributes:
        picture_bytes: size of one encoded picture [413].
        body_bytes: size of one request [413].
        reading_bytes: total size of all requests that are being read [503].
        pixels: number of pixels of a picture [413].
        pictures: number of pictures in one request to `/captions` [413].
        captions: number of captions per picture, and the beam size [400].
        queue: number of accepted pictures that wait for the model [503].
        batch: number of pictures captioned together; the model is compiled for 1, 2, 4, ... up to it.
        window: seconds that a picture waits for others that are still being decoded.
        deadline: seconds from the last byte of a request to its response [504].
        reading: seconds from the first byte of a body to its last [408].
        decoders: number of threads that decode pictures.
    """

    picture_bytes: int = 20 * MIB
    body_bytes: int = 64 * MIB
    reading_bytes: int = 512 * MIB
    pixels: int = MAX_PIXELS
    pictures: int = 32
    captions: int = 10
    queue: int = 128
    batch: int = 16
    window: float = 0.005
    deadline: float = 30.0
    reading: float = 30.0
    decoders: int = 4

    def __post_init__(self) -> None:
        whole = ("picture_bytes", "body_bytes", "reading_bytes", "pixels", "pictures", "captions", "queue", "batch")
        for name in (*whole, "decoders", "deadline", "reading"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name}: must be above 0, found {getattr(self, name)}")
        if self.window < 0:
            raise ConfigError(f"window: must be 0 or more, found {self.window}")
        if self.batch & (self.batch - 1):
            raise ConfigError(f"batch: must be a power of two such as 16, found {self.batch}")

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """The sizes that the model is compiled for: 1, 2, 4, ... up to `batch`."""
        return tuple(1 << power for power in range(self.batch.bit_length()))
