"""A process that dies at a certain step of what it writes, as by kill -9."""

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowlat.ensemble.file import changes
from flowlat.ensemble.file.hdf5 import CheckedFile

#: the exit code of one that died
DEAD = 77


def killed_at(
    step: int, each_write: bool, function: Callable[..., Any], *args: Any, **options: Any
) -> bool:
    """Call it in a child that dies at that step, counted from 1; False if it has fewer.

    Steps are before each rename, removal and sync; with ``each_write`` also in the middle
    of each write to an HDF5 file, and between the changes that are made to one.
    """
    child = os.fork()
    if child == 0:
        try:
            _count(step, each_write)
            function(*args, **options)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, DEAD)
    return code == DEAD


def _count(last: int, each_write: bool) -> None:
    """Have this process die at a step."""
    left = [last]

    def step() -> None:
        left[0] -= 1
        if left[0] == 0:
            os._exit(DEAD)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            step()
            return function(*args, **options)

        return wrapped

    Path.replace, Path.unlink = counted(Path.replace), counted(Path.unlink)  # type: ignore[method-assign]
    os.fsync = counted(os.fsync)
    unpacked, write = changes._unpacked, CheckedFile.write

    def one_by_one(*args: Any) -> Any:
        for change in unpacked(*args):
            step()
            yield change

    def halves(self: CheckedFile, data: Any) -> int:
        content = memoryview(data).cast("B")
        half = len(content) // 2
        n = write(self, content[:half])
        step()
        return n + write(self, content[half:])

    if each_write:
        changes._unpacked = one_by_one  # type: ignore[assignment]
        CheckedFile.write = halves  # type: ignore[method-assign]
