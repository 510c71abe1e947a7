"""Print the package's log records for the user of the command line."""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from collections.abc import Iterator

import click

PREFIXES = {logging.WARNING: "note: ", logging.ERROR: "captioner: "}
PACKAGE = "captioner"


def text_of(record: logging.LogRecord) -> str:
    """Return the line for a record: `note:` before a warning, `captioner:` before an error, no prefix otherwise."""
    return PREFIXES.get(record.levelno, "") + record.getMessage()


class MessageHandler(logging.Handler):
    """Prints records to stderr, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record and its traceback, if any, because a server's error responses refer to its log.

        A closed stderr raises an error, as for every other output of the command.
        """
        text = text_of(record)
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        bars = sys.modules.get("tqdm")
        with bars.tqdm.external_write_mode(file=sys.stderr) if bars else contextlib.nullcontext():
            click.echo(text, err=True)


@contextlib.contextmanager
def messages_printed() -> Iterator[None]:
    """Print the package's log records while the block runs."""
    logger = logging.getLogger(PACKAGE)
    handler, before = MessageHandler(), (logger.level, logger.propagate)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # a library's handler on the root logger would print the lines again
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
        logger.setLevel(before[0])
