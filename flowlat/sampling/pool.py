"""Blocks of an independent sampler, drawn by several processes with a device each."""

import traceback
from collections.abc import Generator
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor

from flowlat.ensemble.state import state_to
from flowlat.runs.ranks.spawn import end_with_parent, signals_held_back, spawning
from flowlat.samplers.base import IndependentSampler, State
from flowlat.sampling.setup import build_setup
from flowlat.utils.errors import RankError
from flowlat.utils.rng import Stream, generator

#: of each block the state after it, and its columns
Draws = Generator[tuple[State, dict[str, Tensor]], None, None]


def draw_in_processes(
    config: dict[str, Any],
    sampler: IndependentSampler,
    state: State,
    devices: list[torch.device],
    numbers: range,
) -> Draws:
    """These blocks in their order, joined here; process i of n draws every n-th from the i-th on.

    A block is the same whoever draws it. A process is at most a block ahead: its pipe is full then.

    Args:
        config: of the run, checked; of which the processes build samplers of their own.
        state: before the first block; the processes read of it what no step changes.

    Raises:
        ValueError: what drawing and measuring raise.
        RankError: a process died.
    """
    context, n = spawning(), min(len(devices), len(numbers))
    processes, receivers = [], []
    try:
        for i, device in enumerate(devices[:n]):
            receiver, sender = context.Pipe(duplex=False)
            arguments = (config, state_to(state, "cpu"), device, numbers[i::n], sender)
            processes.append(context.Process(target=_draw, args=arguments, daemon=True))
            with signals_held_back():  # for good: the parent hears of them too, and ends this one
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
            columns = {name: torch.from_numpy(values) for name, values in answer.items()}
            auxiliary = columns.pop("auxiliary")
            state, accepted = sampler.join(state, columns["log_weight"], auxiliary)
            yield state, columns if accepted is None else {**columns, "accepted": accepted}
    finally:
        for process in processes:
            process.kill()
            process.join()


@torch.no_grad()
def _draw(
    config: dict[str, Any], state: State, device: torch.device, numbers: range, sender: Connection
) -> None:
    """In a process of its own: send (columns and what ``join`` needs, None) of each number, or
    (error, trace)."""
    end_with_parent()
    torch.set_num_threads(config["threads"] or 1)
    try:
        setup, state = build_setup(config, device), state_to(state, device)
        assert isinstance(setup.sampler, IndependentSampler)
        for number in numbers:
            stream = generator(config["seed"], Stream.SAMPLER, number, device=device)
            block, auxiliary = setup.sampler.draw(state, stream)
            columns = {**setup.measure(block), "auxiliary": auxiliary}
            # as arrays, which a pipe copies: tensors would be shared, and end with this process
            sender.send(({name: values.cpu().numpy() for name, values in columns.items()}, None))
    except Exception as error:
        sender.send((error, traceback.format_exc()))
