"""Calls in processes of their own, so many at once: CPU seconds, memory and crashes stay apart."""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from benchmarks.machine import peak_memory_mb
from flowlat.utils.errors import Interrupted

Key = TypeVar("Key")
#: a call whose result is plain data
Call = Callable[..., dict[str, Any]]


def apart(
    function: Call, calls: Mapping[Key, tuple[Any, ...]], jobs: int
) -> Iterator[tuple[Key, dict[str, Any]]]:
    """``(key, function(*arguments))`` of each call, as they end, and the peak of its memory.

    A call that raises, or whose process dies, gives ``{"error": what happened}`` and ends nothing
    else. Ctrl-C ends all of them.

    Args:
        function: of a module that is no ``__main__``, so that a new process finds it.
        calls: the arguments, by key.
        jobs: processes at once.
    """
    context = multiprocessing.get_context("spawn")  # nothing of this process is in a new one
    waiting, running = dict(calls), dict[Any, tuple[Key, Any]]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                key = next(iter(waiting))
                receiving, sending = context.Pipe(duplex=False)
                arguments = (sending, function, waiting.pop(key))
                process = context.Process(target=answer, args=arguments)
                process.start()
                sending.close()  # the last one to hold it is the process, whose end then shows
                running[receiving] = key, process
            for ready in wait(list(running)):
                key, process = running.pop(ready)
                yield key, outcome(ready, process)
    finally:
        for _, process in running.values():
            process.terminate()


def answer(sending: Connection, function: Call, arguments: tuple[Any, ...]) -> None:
    """What runs in the process: send the result, or the error in words."""
    try:
        result = {**function(*arguments), "peak_memory_mb": peak_memory_mb()}
    except Interrupted:
        raise  # no result of a training that somebody ended
    except Exception as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    sending.send(result)


def outcome(receiving: Any, process: Any) -> dict[str, Any]:
    """What a process has sent, or how it ended without."""
    try:
        result: dict[str, Any] = receiving.recv()
    except EOFError:
        process.join()
        result = {"error": f"the process ended with code {process.exitcode}"}
    process.join()
    return result
