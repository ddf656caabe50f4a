"""The processes of a training on several devices: started here, by torchrun or by srun."""

import logging.config
import os
import pickle
import sys
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning.fabric.plugins.environments import ClusterEnvironment, LightningEnvironment
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from lightning.fabric.utilities.rank_zero import rank_zero_only
from torch.multiprocessing import ProcessContext, ProcessExitedException, ProcessRaisedException

from flowlat.runs.launcher import external_launcher
from flowlat.runs.ranks.spawn import end_with_parent, let_signals_in, signals_held_back, spawning
from flowlat.runs.signals import (
    SIGNALS,
    Obeyed,
    Signalled,
    ignore_signals,
    interrupted,
    set_handlers,
)
from flowlat.utils.errors import USER_ERRORS, Interrupted, RankError
from flowlat.utils.files import replacing

#: seconds that the other ranks have to close their loggers once one of them has failed
GRACE = 30.0
#: seconds by which the death of a rank may be seen later than the errors that it causes
MOMENT = 0.1


def environment() -> list[ClusterEnvironment]:
    """The plugin for a rank that was started here: within a SLURM job, too, it is no SLURM task."""
    here = "LOCAL_RANK" in os.environ and not external_launcher()
    return [LightningEnvironment()] if here else []


def spawn_ranks(
    n: int, task: Callable[..., Any], *arguments: Any, log: dict[str, Any] | None = None
) -> Any:
    """``task(*arguments)`` in n new processes, ranks of one group; the plain data rank 0 returns.

    PyTorch starts the processes and ends all when one fails. Beyond that, signals are passed on,
    an error that the user can mend is raised here as it is, and a death is told before the errors
    of ranks that miss the dead one.

    Args:
        log: the logging of rank 0, for ``logging.config.dictConfig``.

    Raises:
        ProcessRaisedException: an error of another kind, with its traceback.
        RankError: a process died without an answer.
        Interrupted: by a signal, before there was anything to interrupt.
    """
    spawning()
    processes: list[BaseProcess] = []
    received: list[int] = []

    def forward(number: int, _: Any) -> None:
        received.append(number)
        for process in processes:
            if process.is_alive() and process.pid:
                os.kill(process.pid, number)

    former = set_handlers(dict.fromkeys(SIGNALS, forward))
    talker = logging.getLogger("torch.multiprocessing.spawn")  # of each process that it ends
    level = talker.level
    talker.setLevel(logging.ERROR)
    try:
        with TemporaryDirectory() as folder:
            answers = [Path(folder, str(number)) for number in range(n)]
            setting = (find_free_network_port(), answers, log, task, arguments)
            with signals_held_back():
                context = torch.multiprocessing.spawn(_run_rank, setting, nprocs=n, join=False)
                processes += context.processes
            failure: ProcessExitedException | ProcessRaisedException | None = None
            ended = False
            try:
                while not ended:
                    if wait(context.sentinels, 1.0):
                        _put_a_death_first(context, answers)
                        ended = context.join(0, GRACE)
                    if all(map(Path.exists, answers)):  # a rank may hang at its exit
                        for process in processes:
                            process.join(GRACE)
                        break
            except (ProcessExitedException, ProcessRaisedException) as error:
                failure = error
            results = [pickle.loads(path.read_bytes()) for path in answers if path.exists()]
            errors = [result for result in results if isinstance(result, BaseException)]
            # PyTorch ends the ranks by a signal of its own once one has failed, or died
            named = [e for e in errors if received or not isinstance(e, Interrupted)]
            if named:  # of errors that ranks have in common that of rank 0, which knows most
                raise named[0] from failure
            if failure is None:
                if answers[0].exists():
                    return results[0]
                if received:  # one more, in the moment before the rank was deaf to them
                    raise interrupted(Signalled(received[0]))
                raise RankError("rank 0 ended without an answer")
            if isinstance(failure, ProcessRaisedException):
                raise failure
            name, code = failure.signal_name, failure.exit_code
            cause = f"by {name}" if name else f"with code {code}"
            raise RankError(f"rank {failure.error_index} died, {cause}") from failure
    finally:
        for process in processes:
            process.kill()
        talker.setLevel(level)
        set_handlers(former)


def _put_a_death_first(context: ProcessContext, answers: list[Path]) -> None:
    """Of ranks that have failed PyTorch names any one: leave it only that which left no word."""
    for process in context.processes:
        process.join(MOMENT)
    for number, process in enumerate(context.processes):
        left = (answers[number], Path(context.error_files[number]))
        if process.exitcode and not any(map(Path.exists, left)):
            context.sentinels = {process.sentinel: number}
            return


def _run_rank(
    number: int,
    port: int,
    answers: list[Path],
    log: dict[str, Any] | None,
    task: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    """Leaves what the task returned, or why it did not, in a file: a pipe may be full before the
    parent reads it."""
    end_with_parent()
    if hasattr(os, "setsid"):  # not on Windows
        os.setsid()  # Ctrl-C reaches the parent, which passes it on: once
    n = len(answers)
    group = {"WORLD_SIZE": n, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    group |= {"RANK": number, "LOCAL_RANK": number}
    os.environ.update({name: str(value) for name, value in group.items()})
    rank_zero_only.rank = number  # type: ignore[attr-defined]  # as its docstring asks
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // n))
    if log and number == 0:
        logging.config.dictConfig(log)
    with Obeyed():
        try:
            let_signals_in()
            answer = task(*arguments)
        except USER_ERRORS as error:
            answer = error
        except KeyboardInterrupt as error:
            answer = interrupted(error)
        ignore_signals()  # the answer is to arrive
        with replacing(answers[number]) as partial:
            partial.write_bytes(pickle.dumps(answer))
    if isinstance(answer, BaseException):
        sys.exit(1)
