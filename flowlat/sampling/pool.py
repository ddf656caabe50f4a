"""Blocks of an independent sampler, drawn by several processes with a device each."""

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

import numpy as np
import torch

from flowlat.runs.processes import end_with_parent, spawning
from flowlat.samplers.base import IndependentSampler, State
from flowlat.sampling.measure import build_observables, measure
from flowlat.sampling.setup import build_sampler, build_theory
from flowlat.utils.errors import ConfigError, RankError
from flowlat.utils.rng import Stream, generator


class Draft(NamedTuple):
    """What was measured on a block, and the notes that ``join`` needs."""

    rows: dict[str, np.ndarray]
    notes: np.ndarray


def drafts(
    config: dict[str, Any], state: State, devices: list[torch.device], numbers: Iterable[int]
) -> Iterator[Draft]:
    """The drafts of these blocks, in their order; a block is the same whoever draws it.

    Args:
        config: of the run, checked.
        state: of the sampler; what no step changes is read.

    Raises:
        ValueError: what drawing and measuring raise.
        RankError: a process died.
    """
    context = spawning()
    free = context.SimpleQueue()
    for device in devices:
        free.put(str(device))
    plain = {name: value.cpu().numpy() for name, value in state._asdict().items()}
    pool = ProcessPoolExecutor(len(devices), context, _start, (config, plain, free))
    waiting: deque[Future[Draft]] = deque()
    try:
        for number in numbers:
            waiting.append(pool.submit(_draw, number))
            # one block each to draw, and one each to go on with
            if len(waiting) == 2 * len(devices):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RankError(f"devices={len(devices)}: a process died") from error
    finally:
        pool.shutdown(cancel_futures=True)


def pick_devices(device: torch.device, n: int) -> list[torch.device]:
    """n devices of the kind of ``device``: n GPUs, or the CPU for n processes.

    Raises:
        ConfigError: there are fewer, or ``device`` is a certain one of several.
    """
    if n == 1 or device.type == "cpu":
        return [device] * n
    if device.index is not None:
        raise ConfigError(f"device={device} with devices={n}: name the kind only")
    if n > (there := torch.cuda.device_count()):
        raise ConfigError(f"devices={n}: this machine has {there} GPUs")
    return [torch.device(device.type, i) for i in range(n)]


#: in a process of the pool: number of a block -> draft
_work: Callable[[int], Draft]


def _start(config: dict[str, Any], plain: dict[str, np.ndarray], free: Any) -> None:
    """Get ready to draw on the next device that is free."""
    global _work
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it too, and ends this one
    torch.set_num_threads(config["threads"] or 1)
    device = torch.device(free.get())
    theory = build_theory(config, device)
    sampler, observables = build_sampler(theory), build_observables(config)
    assert isinstance(sampler, IndependentSampler)
    tensors = {name: torch.from_numpy(value).to(device) for name, value in plain.items()}
    state = type(sampler.initial_state())(**tensors)

    @torch.no_grad()
    def work(number: int) -> Draft:
        stream = generator(config["seed"], Stream.SAMPLER, number, device=device)
        block, notes = sampler.draw(state, stream)
        rows = measure(observables, theory.action, config["save_configs"], block)
        return Draft({name: v.cpu().numpy() for name, v in rows.items()}, notes.cpu().numpy())

    _work = work


def _draw(number: int) -> Draft:
    return _work(number)
