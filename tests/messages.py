"""What the package logs, as the lines that a user of the command line reads."""

import contextlib
import logging

from captioner.cli.messages import PACKAGE, text_of


class _Handler(logging.Handler):
    def __init__(self, take):
        super().__init__()
        self.take = take

    def emit(self, record):
        self.take(text_of(record))


@contextlib.contextmanager
def listening(take):
    """Call `take` with every line that the package logs; what it raises ends the work that logged the line."""
    logger, handler = logging.getLogger(PACKAGE), _Handler(take)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
