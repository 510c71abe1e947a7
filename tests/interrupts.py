"""Kills: of processes by Ctrl-C, although the tests may run as a background job, which ignores it, and of trainings."""

import contextlib
import shutil
import signal

from tests.messages import listening


@contextlib.contextmanager
def kept_at(line, folder, copy):
    """Copy a run's folder when a line is logged that begins so: the copy is what a kill would leave there."""

    def keep(logged):
        if logged.startswith(line) and not copy.exists():
            shutil.copytree(folder, copy)

    with listening(keep):
        yield
    assert copy.exists()


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
