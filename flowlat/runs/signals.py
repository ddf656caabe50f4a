"""Signals that end a training: noted at once, obeyed when its state is whole.

Who obeys is ``Last`` in training/callbacks/checkpoints.py: it writes last.ckpt and stops.
"""

import os
import signal
import threading
from collections.abc import Mapping
from typing import Any

from flowlat.utils.errors import Interrupted

#: Ctrl-C; what a scheduler sends before it kills, SIGUSR2 where submitit asked it to
NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")
#: those that there are: Windows has the first two
SIGNALS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))


class Signals:
    """Within ``with``: the first of ``SIGNALS`` that came. A second Ctrl-C ends at once; the first
    one is answered, unless ``quiet``."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.received: signal.Signals | None = None

    def __enter__(self) -> "Signals":
        self._former = self.install()
        return self

    def __exit__(self, *_: Any) -> None:
        set_handlers(self._former)

    def install(self) -> dict[int, Any]:
        """Take the signals, from whoever has them now; the handlers until then."""
        return set_handlers(dict.fromkeys(SIGNALS, self._handle))

    def _handle(self, number: int, _: Any) -> None:
        if number == signal.SIGINT and self.received is not None:
            raise Interrupted("ended at once", number)
        self.received = self.received or signal.Signals(number)
        if number == signal.SIGINT and not self.quiet:  # no logging: it may be what was interrupted
            os.write(2, b"\nending after this step; Ctrl-C again ends at once\n")


def set_handlers(handlers: Mapping[int, Any]) -> dict[int, Any]:
    """Set the handlers of signals; the former ones. Only the main thread may: else nothing."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number, handler in handlers.items()}
