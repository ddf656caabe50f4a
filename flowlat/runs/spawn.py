"""New processes: how they start, and that they end with the one that started them."""

import multiprocessing
import os
import threading
from multiprocessing.context import SpawnContext


def spawning() -> SpawnContext:
    """For new processes. Not fork: that breaks CUDA, and the threads of one that has computed."""
    if multiprocessing.get_start_method(allow_none=True) == "loky":
        # that of a worker of joblib, which they would be told to use, and do not know
        multiprocessing.set_start_method("spawn", force=True)
    return multiprocessing.get_context("spawn")


def end_with_parent() -> None:
    """End this process when the one that started it ends, by whatever means.

    PyTorch has Linux send SIGINT then, which a training may catch.
    """

    def watch() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
