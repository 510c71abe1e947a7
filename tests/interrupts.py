"""Processes that heed Ctrl-C although the tests may run as a background job, which ignores it."""

import contextlib
import signal


@contextlib.contextmanager
def interrupts_heeded():
    """Let what is started here heed Ctrl-C: a signal that is ignored stays ignored in a new process.

    A `preexec_fn` would do it, too, but forks this process, which JAX warns of once it is loaded.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
