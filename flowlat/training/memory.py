"""What to say where a device has too little memory: the batch size that would fit."""

import gc
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from flowlat.training.data import PriorDataModule
from flowlat.training.module import LitFlow
from flowlat.utils.errors import TooLargeError


@contextmanager
def advising(config: dict[str, Any], module: LitFlow, data: PriorDataModule) -> Iterator[None]:
    """Where a training runs out of memory within, find by trying what batch size would do.

    Raises:
        TooLargeError: it ran out of memory, in a step or in an evaluation.
    """
    try:
        yield
        return
    except (RuntimeError, MemoryError) as error:
        if not too_little(error):
            raise
        # the memory of the machine itself is not to be tried out: the system kills who does
        machine = not isinstance(error, torch.OutOfMemoryError)
        frames = {frame.name for frame in traceback.extract_tb(error.__traceback__)}
        traceback.clear_frames(error.__traceback__)  # they hold what there was no more room for
    trainer: Any = data.trainer
    device = trainer.strategy.root_device
    if "proposals" in frames:
        key, size, step = "evaluation.batch_size", config["evaluation"]["batch_size"], draw
    else:
        key, size, step = "data.batch_size", data.current_size() // trainer.world_size, train
    given = config["data" if step is train else "evaluation"]["batch_size"]
    if machine:
        raise TooLargeError(f"{key}={given}: too little memory in this machine")
    fits = largest(lambda n: step(module.to(device), data, n), size)
    least = size // fits if fits else 0
    found = f"{key}={given // least} fits" if least else f"not even {key}=1 fits"
    raise TooLargeError(f"{key}={given}: too little memory on {device}; {found}")


def too_little(error: Exception) -> bool:
    """Whether an error says that a device, or the machine, has too little memory."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "DefaultCPUAllocator: " in str(error)


def largest(step: Callable[[int], None], size: int) -> int | None:
    """The first of size/2, size/4, ... whose step has the memory that it needs."""
    while size := size // 2:
        gc.collect()
        torch.cuda.empty_cache()
        try:
            step(size)
        except torch.OutOfMemoryError:
            continue
        return size
    return None


def train(module: LitFlow, data: PriorDataModule, size: int) -> None:
    """Loss and gradient of so many configurations, as in a training step."""
    batch = [module.flow.noise(size)]
    if data.configurations is not None:
        shape = (size, *data.configurations.shape[1:])
        batch.append(data.configurations[:1].expand(shape).to(batch[0]))
    module.objective(module.flow, module.action, *batch)[0].backward()


def draw(module: LitFlow, data: PriorDataModule, size: int) -> None:
    """So many configurations, as in an evaluation."""
    module.best_flow.sample(size)
