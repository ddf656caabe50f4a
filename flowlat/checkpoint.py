"""Checkpoints are data: read without running anything that is in them."""

import hashlib
from pathlib import Path
from typing import Any

import torch

from flowlat.allowlist import check_node
from flowlat.build import FLOW_GROUPS, build_flow
from flowlat.config import TrainConfig, check
from flowlat.errors import CheckpointError, ConfigError
from flowlat.flow import Flow

#: the packages of whose classes and functions a checkpoint may name one, by group
ALLOWED = {
    "lattice": "flowlat.lattice",
    "action": "flowlat.actions",
    "prior": "flowlat.priors",
    "arch": "flowlat.archs",
}


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The contents of a flowlat checkpoint, with ``weights_only=True`` and its config checked.

    Raises:
        CheckpointError: no such file, not readable, or not written by flowlat.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"ckpt_path={path}: no such file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file may fail in any way
        raise CheckpointError(
            f"ckpt_path={path}: not a readable checkpoint, truncated or of another program "
            f"({type(error).__name__})"
        ) from error
    ours = content.get("flowlat") if isinstance(content, dict) else None
    if not isinstance(ours, dict) or "config" not in ours:
        raise CheckpointError(f"ckpt_path={path}: not a flowlat checkpoint")
    try:
        _check_flow_config(ours["config"])
    except ConfigError as error:
        raise CheckpointError(f"ckpt_path={path}: {error}") from error
    return content


def load_flow(path: str | Path) -> Flow:
    """The trained flow of a checkpoint, in evaluation mode on the CPU.

    The averaged weights, where the training kept any. The lattice, the action and the options are
    the checkpoint's own: ``load_flow(path).lattice``.

    Raises:
        CheckpointError: see :func:`read_checkpoint`; or weights that do not fit the config.
    """
    return flow_of(read_checkpoint(path), path)


def flow_of(content: dict[str, Any], path: str | Path) -> Flow:
    """:func:`load_flow` from contents that are already read; ``path`` is for the messages."""
    config = content["flowlat"]["config"]
    if "kernel" in config["arch"]:
        # how it is computed is not the checkpoint's to say: another machine has other kernels
        config = {**config, "arch": {**config["arch"], "kernel": "auto"}}
    try:
        flow = build_flow(config)
    except ConfigError as error:
        raise CheckpointError(f"ckpt_path={path}: {error}") from error
    weights = flow_weights(content)
    if not weights:
        raise CheckpointError(f"ckpt_path={path}: no weights")
    flow.to(dtype=next(iter(weights.values())).dtype)
    load_weights(flow, weights, path)
    return flow.eval()


def flow_weights(content: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The flow's own state dict within a training checkpoint."""
    state = content.get("state_dict")
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        return {}
    prefix = "averaged.module." if any(k.startswith("averaged.") for k in state) else "flow."
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def load_weights(flow: Flow, weights: dict[str, torch.Tensor], path: str | Path) -> None:
    """Fill a flow; CheckpointError in one line if names or shapes differ or a weight is NaN."""
    own = flow.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        theirs = list(weights[name].shape) if name in weights else None
        ours = list(own[name].shape) if name in own else None
        if theirs != ours:
            raise CheckpointError(
                f"{path}: the weights do not fit lattice.shape={list(flow.lattice.shape)} and this "
                f"architecture ({name}: {theirs} in the checkpoint, {ours} in the flow)"
            )
    if not all(torch.isfinite(w).all() for w in weights.values()):
        raise CheckpointError(f"{path}: weights that are not finite")
    flow.load_state_dict(weights)


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _check_flow_config(config: Any) -> None:
    if not isinstance(config, dict):
        raise ConfigError("config: not a mapping")
    for group in FLOW_GROUPS:
        if group not in config:
            raise ConfigError(f"config.{group}: missing")
    for group, package in ALLOWED.items():
        check_node(config[group], package, f"config.{group}")
    check({group: config[group] for group in FLOW_GROUPS}, TrainConfig)
