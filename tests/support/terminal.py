"""A command on a terminal: what it writes there, byte by byte."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.support.forked import Command


def on_a_terminal(folder: Path, *arguments: str) -> str:
    """Output and errors of a ``Command`` on a terminal of 24 lines of 80 characters."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = Command(folder, *arguments, before=partial(_move_to, os.ttyname(theirs)))
    while command.running() and not select.select([ours], [], [], 0.01)[0]:
        pass  # it has the terminal once it writes: else there would be an end to it
    os.close(theirs)
    written = b""
    with suppress(OSError):  # the end of a pseudo-terminal
        while part := os.read(ours, 2**16):
            written += part
    os.close(ours)
    command.wait()
    return written.decode()


def _move_to(terminal: str) -> None:
    with open(terminal, "r+b", buffering=0) as file:
        for number in (0, 1, 2):
            os.dup2(file.fileno(), number)
    sys.stdout.reconfigure(line_buffering=True)
