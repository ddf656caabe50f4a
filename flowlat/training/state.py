"""What the state of a training has to look like; checked before Lightning takes it."""

import math
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from flowlat.config.build import instantiate
from flowlat.config.checkpoint import is_plain, read_checkpoint
from flowlat.training.data import PriorDataModule
from flowlat.training.module import LitFlow
from flowlat.utils.errors import CheckpointError

#: what a schedule changes in a group of an optimizer; the rest is the config's
CHANGING = ("lr", "initial_lr")


def require_state(
    path: Path, config: dict[str, Any], module: LitFlow, data: PriorDataModule, trainer: Trainer
) -> None:
    """Compare a checkpoint with one that this training would write: names, kinds and shapes.

    Lightning takes what it finds, and fails anywhere, or not at all, on what it did not expect.

    Raises:
        CheckpointError: a part that is missing, too many, of another kind or out of range.
    """
    theirs, ours = read_checkpoint(path), state_of(config, module, data, trainer)
    try:
        require_version(theirs.get("pytorch-lightning_version"))
        require_losses(theirs["flowlat"].get("losses"))
        # callbacks may come and go
        ours["callbacks"] = common(ours["callbacks"], theirs.get("callbacks"))
        for key, part in ours.items():
            # of these there is more than is taken
            more = key in ("callbacks", "flowlat", "loops")
            require_like(common(theirs.get(key), part) if more else theirs.get(key), part, key)
        epochs = theirs["loops"]["fit_loop"]["epoch_progress"]["current"]["completed"]
        if epochs > theirs["epoch"] + 1:
            raise ValueError(f"epoch={theirs['epoch']}, but {epochs} are completed")
    except ValueError as error:
        raise CheckpointError(f"ckpt_path={path}: no state to go on from: {error}") from error


def state_of(
    config: dict[str, Any], module: LitFlow, data: PriorDataModule, trainer: Trainer
) -> dict[str, Any]:
    """The checkpoint of this training after a step, but for the numbers in it."""
    weights = [weight.detach().clone() for weight in module.flow.parameters()]
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    optimizer = instantiate(config, "optimizer")(weights)
    scheduler = instantiate(config, "scheduler")(optimizer, total_steps=1, steps_per_epoch=1)
    optimizer.step()
    scheduler.step()
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return {
        **{"epoch": 0, "global_step": 0},
        "flowlat": {"seconds": 0.0, "rollbacks": 0},
        "state_dict": module.state_dict(),
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [scheduler.state_dict()],
        "loops": {"fit_loop": trainer.fit_loop.state_dict()},
        "callbacks": {callback.state_key: callback.state_dict() for callback in callbacks},
        type(data).__qualname__: data.state_dict(),
    }


def require_version(version: Any) -> None:
    """ValueError unless Lightning takes the checkpoint as it is: older ones it rewrites."""
    release = lightning.__version__.rpartition(".")[0]
    if not isinstance(version, str) or not version.startswith(f"{release}."):
        raise ValueError(f"pytorch-lightning_version={version!r}: not {release}")


def require_losses(losses: Any) -> None:
    """ValueError unless they are finite numbers, (ranks, steps)."""
    if not is_plain(losses) or losses.dim() != 2 or not losses.numel() or losses.is_complex():
        raise ValueError("flowlat.losses: not a number for each rank and step")
    if not losses.isfinite().all():
        raise ValueError("flowlat.losses: not finite")


def common(node: Any, other: Any) -> Any:
    """The entries of a mapping that another one has as well; what is no mapping as it is."""
    if isinstance(node, dict) and isinstance(other, dict):
        return {key: value for key, value in node.items() if key in other}
    return node


def require_like(theirs: Any, ours: Any, path: str) -> None:
    """ValueError unless two nodes of plain data are the same but for the values of numbers."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        # an optimizer has no state of a weight that never had a gradient
        lacking = set() if path.endswith(".state") else ours.keys() - theirs.keys()
        for key in [*lacking, *(theirs.keys() - ours.keys())]:
            raise ValueError(f"{path}.{key}: {'missing' if key in ours else 'unknown'}")
        for key in theirs:
            require_like(theirs[key], ours[key], f"{path}.{key}")
            fixed = path.endswith(".param_groups.0") and key not in CHANGING
            if fixed and theirs[key] != ours[key]:
                raise ValueError(f"{path}.{key}={theirs[key]!r}: must be {ours[key]!r}")
    elif isinstance(ours, list | tuple) and type(theirs) is type(ours):
        if len(theirs) != len(ours):
            raise ValueError(f"{path}: of length {len(theirs)}, must be {len(ours)}")
        for i, (a, b) in enumerate(zip(theirs, ours, strict=True)):
            require_like(a, b, f"{path}.{i}")
    elif not same_kind(theirs, ours):
        raise ValueError(f"{path}={theirs!r}: must be like {ours!r}")


def same_kind(theirs: Any, ours: Any) -> bool:
    """Whether a number, a tensor or something else may stand where ours is."""
    if isinstance(ours, Tensor):
        same = is_plain(theirs) and (theirs.shape, theirs.dtype) == (ours.shape, ours.dtype)
        return same and bool(theirs.isfinite().all())
    if type(ours) is int:
        return type(theirs) is int and 0 <= theirs < 2**62
    if type(ours) is float:
        return type(theirs) in (int, float) and (math.isfinite(theirs) or theirs == ours)
    return type(theirs) is type(ours)
