"""Checkpoints are data: read without running anything that is in them."""

import hashlib
from pathlib import Path
from reprlib import repr as brief
from typing import Any

import torch

from flowlat.config.build import CONTRACTS, FLOW_GROUPS, build_flow
from flowlat.config.renamed import with_new_names
from flowlat.config.sizes import check_sizes
from flowlat.config.trust import check_node
from flowlat.config.validation import check_nodes
from flowlat.flows.flow import Flow
from flowlat.utils.archive import require_whole
from flowlat.utils.errors import CheckpointError, ConfigError


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The contents of a flowlat checkpoint, as plain data, and its config checked.

    Raises:
        CheckpointError: no such file, not readable, or not written by flowlat.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"ckpt_path={path}: no such file")
    try:
        with path.open("rb") as file:
            require_whole(file)
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file may fail in any way
        raise CheckpointError(
            f"ckpt_path={path}: not a readable checkpoint, truncated or of another program "
            f"({type(error).__name__})"
        ) from error
    record = content.get("flowlat") if isinstance(content, dict) else None
    if not isinstance(record, dict) or "config" not in record:
        raise CheckpointError(f"ckpt_path={path}: not a flowlat checkpoint")
    record["config"] = with_new_names(record["config"])
    try:
        check_flow_config(record["config"])
        _check_paths(content.get("callbacks"))
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
    double = any(weight.dtype == torch.float64 for weight in weights.values())
    flow.to(dtype=torch.float64 if double else torch.float32)
    load_weights(flow, weights, path)
    return flow.eval()


def flow_weights(content: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The flow's own state dict within a training checkpoint; empty unless all is plain tensors."""
    state = content.get("state_dict")
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and is_plain(weight) for name, weight in state.items()
    ):
        return {}
    prefix = "averaged.module." if any(k.startswith("averaged.") for k in state) else "flow."
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def load_weights(flow: Flow, weights: dict[str, torch.Tensor], path: str | Path) -> None:
    """Fill a flow, in its own precision.

    Raises:
        CheckpointError: other names, shapes or types of numbers than the flow's, or a NaN.
    """
    single_or_double = {torch.float32, torch.float64}
    for name, weight in flow.state_dict().items():
        kind = weights[name].dtype if name in weights else weight.dtype
        if kind != weight.dtype and {kind, weight.dtype} != single_or_double:
            raise CheckpointError(f"{path}: {name}: {kind} are no weights of a flow")
    try:
        flow.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: the weights do not fit lattice.shape={list(flow.lattice.shape)} and this "
            f"architecture: {error}"
        ) from error
    if not all(torch.isfinite(weight).all() for weight in flow.state_dict().values()):
        raise CheckpointError(f"{path}: weights that are not finite")


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def check_flow_config(config: Any, path: str = "config.") -> None:
    """Raise ConfigError unless a checkpoint with this config can be read; see ``check_node``."""
    if not isinstance(config, dict):
        raise ConfigError("config: not a mapping")
    groups = {group: config.get(group) for group in FLOW_GROUPS}
    for group, (contract, package) in CONTRACTS.items():
        check_node(groups[group], package, contract, f"{path}{group}")
    if not isinstance(groups["symmetrize"], bool):
        raise ConfigError(f"{path}symmetrize={brief(groups['symmetrize'])}: must be a boolean")
    check_nodes(groups)
    check_sizes(groups)


def _check_paths(state: Any, depth: int = 4) -> None:
    """Refuse a callback's path to elsewhere: a resumed run removes the checkpoints it replaces."""
    if isinstance(state, dict) and depth:
        for node in (*state.keys(), *state.values()):
            _check_paths(node, depth - 1)
    elif isinstance(state, str):
        if ".." in Path(state).parts or "::" in state or "://" in state:
            raise ConfigError(f"callbacks: the path {state!r} is not allowed in a file")
    elif isinstance(state, dict | list | tuple):
        raise ConfigError("callbacks: not allowed in a file")


def is_plain(weight: Any) -> bool:
    """Whether it is numbers in memory: no sparse, quantized, nested or meta tensor."""
    return (
        isinstance(weight, torch.Tensor)
        and weight.layout == torch.strided
        and weight.device.type == "cpu"
        and not weight.is_quantized
        and not weight.is_nested
    )
