"""Signals that end a run: at once while nothing is lost, else when its state is whole.

Who obeys in a training is ``Last`` in training/callbacks/checkpoints.py, which writes last.ckpt and
stops; in a sampling ``advance`` in sampling/draw.py, between two blocks.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from flowlat.utils.errors import Interrupted

if TYPE_CHECKING:
    from typing_extensions import Self

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

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

    def __enter__(self) -> "Self":
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


class Signalled(KeyboardInterrupt):
    """A signal that is obeyed where it comes. As Ctrl-C it is no ``Exception``, which libraries
    catch and go on."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


class Obeyed(Signals):
    """Within ``with``: a signal raises ``Signalled``, as while a program starts, or sums up."""

    def _handle(self, number: int, _: Any) -> None:
        self.received = self.received or signal.Signals(number)
        raise Signalled(number)

    def error(self, caught: BaseException) -> Interrupted | None:
        """What is to be said where a signal came, None where none did.

        Args:
            caught: of any kind: an import that a signal ends may raise what it likes.
        """
        if isinstance(caught, KeyboardInterrupt):
            return interrupted(caught)
        return interrupted(Signalled(self.received)) if self.received else None


def interrupted(stop: KeyboardInterrupt) -> Interrupted:
    """In words, with the number of the signal."""
    number = signal.Signals(getattr(stop, "number", signal.SIGINT))
    said = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
    return Interrupted(said, number)


def obeying(main: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Of a program, before it imports what takes seconds: a signal ends it with one line, and the
    shell's exit code for it. A job of SLURM that is to go on (``resume=true``) is requeued."""

    @wraps(main)
    def wrapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with Obeyed() as signals:
            try:
                return main(*args, **kwargs)
            except BaseException as caught:
                error = None if isinstance(caught, SystemExit) else signals.error(caught)
                if error is None:
                    raise
                ignore_signals()
                resume = "resume=true" in [a.lstrip("+").lower() for a in sys.argv[1:]]
                print(said(error, resume), file=sys.stderr)
                sys.exit(128 + error.number)

    return wrapped


def said(error: Interrupted, resume: bool, hint: str = "") -> str:
    """The last line of a run that a signal ended; has SLURM start its job again, if it is to go on.

    Args:
        resume: whether the same command goes on: else it would only begin anew.
        hint: how to go on by hand.
    """
    # here, not above: as little as can be is imported before a program has its handlers
    from flowlat.runs.launcher import rank
    from flowlat.runs.slurm import requeue

    again = resume and error.number != signal.SIGINT and rank() == 0
    return "; ".join(filter(None, [str(error), hint, requeue() if again else ""]))


def ignore_signals() -> None:
    """From here on: as SLURM ends the job that it is told to requeue, before it has said so."""
    set_handlers(dict.fromkeys(SIGNALS, signal.SIG_IGN))


def set_handlers(handlers: Mapping[int, Any]) -> dict[int, Any]:
    """Set the handlers of signals; the former ones. Only the main thread may: else nothing."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number, handler in handlers.items()}
