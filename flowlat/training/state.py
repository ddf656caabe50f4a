"""Whether a checkpoint holds a state that a training can go on from."""

import math
from typing import Any

import lightning
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from flowlat.config.checkpoint import is_plain
from flowlat.config.compare import flatten
from flowlat.utils.errors import CheckpointError

COUNTS = ("epoch", "flowlat.rollbacks", "PriorDataModule.n_drawn")
SCORES = ("callbacks.best_ess.score", "callbacks.best_acceptance.score")
#: what Lightning counts in its loop of a training
LOOP = "loops.fit_loop."
COUNTED = ("ready", "started", "processed", "completed", "_batches_that_stepped")
BATCHES = "loops.fit_loop.epoch_loop.batch_progress"
STEPS = "loops.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step"


def check_state(content: dict[str, Any], steps_per_epoch: int) -> None:
    """Refuse numbers that Lightning would take without a word, and train on wrongly.

    What is missing or of another kind fails when Lightning restores it, or in the next step: see
    :func:`flowlat.training.fit.fit_with_rollbacks`.

    Raises:
        CheckpointError: of another Lightning, which would rewrite it; a number that is not finite;
            counts of epochs, batches and steps that contradict each other; or legs that do not
            begin at 0, one after another.
    """
    version, release = content.get("pytorch-lightning_version"), lightning.__version__
    if not str(version).startswith(f"{release.rpartition('.')[0]}."):
        raise CheckpointError(f"pytorch-lightning_version={version!r}: this is {release}")
    try:
        optimizer, scheduler = content["optimizer_states"][0], content["lr_schedulers"][0]
        flat = flatten({**content, "optimizer": optimizer, "scheduler": scheduler})
        numbers = [n for group in optimizer["param_groups"] for n in group["params"]]
    except (LookupError, TypeError, RecursionError) as error:
        raise CheckpointError("optimizer_states, lr_schedulers: missing or damaged") from error
    if any(type(n) is not int for n in numbers) or numbers != list(range(len(numbers))):
        # what belongs to no weight ends the process in the next fused step
        raise CheckpointError("optimizer.param_groups: params are not numbered in their order")
    for key in COUNTS:
        if type(flat.get(key)) is not int or not 0 <= flat[key] < 2**62:
            raise CheckpointError(f"{key}={flat.get(key)!r}: not a number of times")
    legs = content["flowlat"].get("legs", [0])
    whole = isinstance(legs, list) and all(type(epoch) is int for epoch in legs)
    if not whole or legs[:1] != [0] or legs != sorted({*legs}) or legs[-1] > flat["epoch"]:
        raise CheckpointError(f"flowlat.legs={legs!r}: not epochs, from 0, at which legs begin")
    for key in ("flowlat.seconds", *SCORES):
        if not isinstance(flat.get(key), float) or not flat[key] < torch.inf:  # nor is NaN
            raise CheckpointError(f"{key}={flat.get(key)!r}: not a finite number")
    for key, value in flat.items():
        if isinstance(value, Tensor) and not (is_plain(value) and value.isfinite().all()):
            raise CheckpointError(f"{key}: not finite numbers")
    for key in flat:
        counted = key.startswith(LOOP) and key.rpartition(".")[2] in COUNTED
        if counted and type(flat[key]) is not int:
            raise CheckpointError(f"{key}={flat[key]!r}: not a number of times")
    losses = flat.get("flowlat.losses")
    if not isinstance(losses, Tensor) or losses.dim() != 2 or not losses.is_floating_point():
        raise CheckpointError("flowlat.losses: not a number for each rank and step")
    _, n_batches = losses.shape
    expected = {
        "loops.fit_loop.epoch_progress.current.processed": (flat["epoch"], flat["epoch"] + 1),
        f"{BATCHES}.total.ready": (flat["PriorDataModule.n_drawn"],),
        f"{BATCHES}.current.ready": (n_batches,),
        f"{BATCHES}.is_last_batch": (n_batches == steps_per_epoch,),
        f"{STEPS}.total.completed": (flat.get("global_step"),),
        "scheduler.last_epoch": (flat.get("global_step"),),
    }
    for key, values in expected.items():
        value = flat.get(key)
        if not any(type(value) is type(other) and value == other for other in values):
            raise CheckpointError(f"{key}={value!r}: must be {' or '.join(map(str, values))}")


def check_optimizer(trainer: Trainer) -> None:
    """Raise ValueError unless the optimizer, after it was restored, is that of the config."""
    (optimizer,) = trainer.optimizers
    for group in optimizer.param_groups:
        for key, value in {**optimizer.defaults, "lr": group["lr"]}.items():
            if group.get(key) != value or (key == "lr" and not math.isfinite(value)):
                raise ValueError(f"optimizer_states: {key}={group.get(key)!r}, must be {value!r}")
        for weight in group["params"] if group.get("fused") else ():
            for key, value in optimizer.state.get(weight, {}).items():
                # a fused step would read beyond the end of what is too small
                if isinstance(value, Tensor) and value.shape not in (weight.shape, ()):
                    raise ValueError(f"optimizer_states: {key} of shape {tuple(value.shape)}")
