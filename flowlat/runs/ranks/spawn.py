"""New processes: how they start, and that they end with the one that started them."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext

from flowlat.runs.signals import SIGNALS


def spawning() -> SpawnContext:
    """For new processes. Not fork: that breaks CUDA, and the threads of one that has computed."""
    if multiprocessing.get_start_method(allow_none=True) == "loky":
        # that of a worker of joblib, which they would be told to use, and do not know
        multiprocessing.set_start_method("spawn", force=True)
    return multiprocessing.get_context("spawn")


@contextmanager
def signals_held_back() -> Iterator[None]:
    """What is started within gets no signal before it asks for them (:func:`let_signals_in`).

    While they import they have no handlers, and would end with a traceback or without a word; a
    scheduler sends its signals to every process of a job.
    """
    # in its own start it lets some of them in again, for everything that is started from then on
    resource_tracker.ensure_running()
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    former = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def let_signals_in() -> None:
    """In a new process, when it has handlers: also those that came before."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def end_with_parent() -> None:
    """End this process when the one that started it ends, by whatever means.

    PyTorch has Linux send SIGINT then, which a training may catch.
    """

    def watch() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
