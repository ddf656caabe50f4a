"""Signals that end a training: noted at once, obeyed when its state is whole."""

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flowlat.utils.errors import Interrupted

#: Ctrl-C; what a scheduler sends before it kills, SIGUSR2 where submitit asked it to
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class Signals:
    """The first of ``SIGNALS`` that came. A second Ctrl-C ends at once; the first one is answered,
    unless ``quiet``."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.received: signal.Signals | None = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """With the handlers of ``SIGNALS``; those before are put back."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self.install()
        try:
            yield
        finally:
            _set(before)

    def install(self) -> None:
        """Take the handlers, of whoever has them now."""
        _set(dict.fromkeys(SIGNALS, self._note))

    def _note(self, number: int, _: Any) -> None:
        if number == signal.SIGINT and self.received is not None:
            raise Interrupted("ended at once", number)
        self.received = self.received or signal.Signals(number)
        if number == signal.SIGINT and not self.quiet:  # no logging: it may be what was interrupted
            os.write(2, b"\nending after this step; Ctrl-C again ends at once\n")


def _set(handlers: Mapping[signal.Signals, Any]) -> None:
    if threading.current_thread() is threading.main_thread():  # which alone may
        for number, handler in handlers.items():
            signal.signal(number, handler)
