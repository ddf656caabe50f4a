"""The processes of a training on several devices: started here, by torchrun or by srun."""

import logging.config
import multiprocessing
import os
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any

from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from lightning.fabric.utilities.rank_zero import rank_zero_only

from flowlat.runs.signals import SIGNALS
from flowlat.utils.errors import USER_ERRORS, ConfigError, Interrupted, RankError

#: a warning of Lightning: but a job of one task starts its ranks without, as a login node does
UNUSED_SRUN = ".*`srun`.*"
#: seconds that the other ranks have to close their loggers once one of them has failed
GRACE = 30.0


def rank() -> int:
    """The rank of this process, before and after the group is formed."""
    found: int = vars(rank_zero_only)["rank"]
    return found


def started_elsewhere() -> ClusterEnvironment | None:
    """torchrun or SLURM, if it started this process as one of several.

    Raises:
        ConfigError: SLURM was told so in a way that does not say which task is which.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=UNUSED_SRUN)
        try:
            for kind in (SLURMEnvironment, TorchElasticEnvironment):
                if kind.detect() and (found := kind()).world_size() > 1:
                    return found
        except RuntimeError as error:
            raise ConfigError(str(error)) from error
    return None


def environment() -> list[ClusterEnvironment]:
    """The plugin for a rank that was started here: within a SLURM job, too, it is no SLURM task."""
    here = "LOCAL_RANK" in os.environ and not started_elsewhere()
    return [LightningEnvironment()] if here else []


def in_processes(
    n: int, task: Callable[..., Any], *arguments: Any, log: dict[str, Any] | None = None
) -> Any:
    """``task(*arguments)`` in n new processes, ranks of one group; the plain data rank 0 returns.

    An error of any rank ends all of them and is raised here. Signals are passed on.

    Args:
        log: the logging of rank 0, for ``logging.config.dictConfig``.

    Raises:
        RankError: a process died without an answer.
        Interrupted: by a signal, before there was anything to interrupt.
    """
    shared = {
        "WORLD_SIZE": n,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": find_free_network_port(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", max(1, (os.cpu_count() or 1) // n)),
    }
    context = spawning()
    processes: list[BaseProcess] = []
    answers: list[Connection] = []
    process: BaseProcess
    try:
        with passing_on(processes) as received:
            for number in range(n):
                answer, writer = context.Pipe(duplex=False)
                process = context.Process(
                    target=_rank, args=(writer, log, task, arguments), name=f"rank {number}"
                )
                with variables(**shared, RANK=number, LOCAL_RANK=number):
                    process.start()
                writer.close()  # so that the end of the process is the end of the pipe
                processes.append(process)
                answers.append(answer)
            return collect(answers, processes)
    except RankError as error:
        if received:
            raise Interrupted("ended before the start", received[0]) from error
        raise
    finally:
        for process in processes:
            process.join(GRACE)
            process.kill()


def spawning() -> SpawnContext:
    """For new processes. Not fork: that breaks CUDA, and the threads of one that has computed."""
    if multiprocessing.get_start_method(allow_none=True) == "loky":
        # that of a worker of joblib, which they would be told to use, and do not know
        multiprocessing.set_start_method("spawn", force=True)
    return multiprocessing.get_context("spawn")


def collect(answers: Sequence[Connection], processes: Sequence[BaseProcess]) -> Any:
    """The answer of rank 0 when all have come; an error is raised as soon as the first comes.

    Of errors that all ranks have in common that of rank 0 is raised, which knows most.
    """
    results: dict[int, Any] = {}
    while len(results) < len(answers):
        for answer in wait([a for i, a in enumerate(answers) if i not in results]):
            number = answers.index(answer)
            results[number], error = received_from(answers[number], processes[number])
            if error is None:
                continue
            if 0 not in results and answers[0].poll(GRACE):
                _, first = received_from(answers[0], processes[0])
                error = first if isinstance(first, USER_ERRORS) else error
            raise error
    return results[0]


def received_from(answer: Connection, process: BaseProcess) -> tuple[Any, Exception | None]:
    """What a rank returned, or why it did not."""
    try:
        found: tuple[Any, Exception | None] = answer.recv()
        return found
    except EOFError:
        process.join()
        code = process.exitcode or 0
        cause = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        return None, RankError(f"{process.name} died, {cause}")


def _rank(
    writer: Connection,
    log: dict[str, Any] | None,
    task: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    end_with_parent()
    os.setsid()  # Ctrl-C reaches the parent, which passes it on: once
    if log and rank() == 0:
        logging.config.dictConfig(log)
    answer: tuple[Any, Exception | None]
    try:
        answer = task(*arguments), None
    except USER_ERRORS as error:
        answer = None, error
    except Exception:
        answer = None, RuntimeError(f"on rank {rank()}\n{traceback.format_exc()}")
    writer.send(answer)


def end_with_parent() -> None:
    """End this process when the one that started it ends, by whatever means."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def passing_on(processes: Sequence[BaseProcess]) -> Iterator[list[int]]:
    """``SIGNALS`` that come within are sent to the processes; those that came."""
    received: list[int] = []

    def handler(number: int, _: Any) -> None:
        received.append(number)
        for process in processes:
            if process.is_alive() and process.pid:
                os.kill(process.pid, number)

    if threading.current_thread() is not threading.main_thread():  # which alone hears of signals
        yield received
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield received
    finally:
        for number, former in before.items():
            signal.signal(number, former)


@contextmanager
def variables(**values: Any) -> Iterator[None]:
    """Environment variables for the processes that are started within."""
    before = dict(os.environ)
    os.environ.update({name: str(value) for name, value in values.items()})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
