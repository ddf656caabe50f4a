"""A command on a terminal: what it writes there, byte by byte."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


def on_a_terminal(command: Sequence[str], folder: Path, **options: str) -> str:
    """Output and errors of a command on a terminal of 24 lines of 80 characters."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    with subprocess.Popen(command, cwd=folder, env={**os.environ, **options}, **streams):
        os.close(theirs)
        written = b""
        with suppress(OSError):  # the end of a pseudo-terminal
            while part := os.read(ours, 2**16):
                written += part
    os.close(ours)
    return written.decode()
