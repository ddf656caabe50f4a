"""Blocks of an independent sampler, drawn by several processes with a device each."""

import signal
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch

from flowlat.ensemble.layout import fields_column
from flowlat.ensemble.state import state_from_arrays
from flowlat.runs.processes import end_with_parent, spawning
from flowlat.samplers.base import IndependentSampler
from flowlat.sampling.measure import build_observables, measure
from flowlat.sampling.setup import build_sampler, build_theory
from flowlat.utils.errors import RankError
from flowlat.utils.rng import Stream, generator

#: the columns of a block, and what ``IndependentSampler.join`` needs beside its weights
Drawn = tuple[dict[str, np.ndarray], np.ndarray]


def draw_in_processes(
    config: dict[str, Any],
    state: dict[str, np.ndarray],
    devices: list[torch.device],
    numbers: range,
) -> Iterator[Drawn]:
    """These blocks in their order; process i of n draws every n-th of them, from the i-th on.

    A block is the same whoever draws it. A process is at most a block ahead: its pipe is full then.

    Args:
        config: of the run, checked.
        state: of the sampler; what no step changes is read.

    Raises:
        ValueError: what drawing and measuring raise.
        RankError: a process died.
    """
    context, n = spawning(), min(len(devices), len(numbers))
    processes, receivers = [], []
    try:
        for i, device in enumerate(devices[:n]):
            receiver, sender = context.Pipe(duplex=False)
            arguments = (config, state, device, numbers[i::n], sender)
            processes.append(context.Process(target=_draw, args=arguments, daemon=True))
            processes[i].start()
            sender.close()  # so that the end of the process is the end of the pipe
            receivers.append(receiver)
        for i in range(len(numbers)):
            try:
                answer, trace = receivers[i % n].recv()
            except (EOFError, OSError) as error:
                raise RankError(f"devices={len(devices)}: a process died") from error
            if isinstance(answer, Exception):
                raise answer from RuntimeError(trace)
            yield answer
    finally:
        for process in processes:
            process.kill()
            process.join()


@torch.no_grad()
def _draw(
    config: dict[str, Any],
    arrays: dict[str, np.ndarray],
    device: torch.device,
    numbers: range,
    sender: Connection,
) -> None:
    """In a process of its own: send ((columns, extra), None) of each number, or (error, trace)."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it too, and ends this one
    torch.set_num_threads(config["threads"] or 1)
    try:
        theory = build_theory(config, device)
        sampler, observables = build_sampler(theory), build_observables(config)
        assert isinstance(sampler, IndependentSampler)
        fields = fields_column(sampler.kind) if config["save_configs"] else None
        state = state_from_arrays(arrays, sampler, device)
        for number in numbers:
            stream = generator(config["seed"], Stream.SAMPLER, number, device=device)
            block, extra = sampler.draw(state, stream)
            columns = measure(observables, theory.action, fields, block)
            arrays = {name: values.cpu().numpy() for name, values in columns.items()}
            sender.send(((arrays, extra.cpu().numpy()), None))
    except Exception as error:
        sender.send((error, traceback.format_exc()))
