"""Checkpoints are data: read without running anything that is in them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from flowlat.config.build import build_family, build_flow
from flowlat.config.renamed import with_new_names
from flowlat.config.trust import check_flow_config, check_paths
from flowlat.flows.family import Family
from flowlat.flows.flow import Flow
from flowlat.utils.archive import require_whole
from flowlat.utils.errors import CheckpointError, ConfigError


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The contents of a flowlat checkpoint, as plain data, and its config checked.

    Args:
        path: of the file, or the folder of a training: its ``checkpoints/best_ess.ckpt``.

    Raises:
        CheckpointError: no such file, not readable, or not written by flowlat.
    """
    path = checkpoint_file(path)
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
        check_paths(content.get("callbacks"))
    except ConfigError as error:
        raise CheckpointError(f"ckpt_path={path}: {error}") from error
    return content


def checkpoint_file(path: str | Path) -> Path:
    """The file itself, or the best one of a training's folder."""
    path = Path(path)
    return path / "checkpoints" / "best_ess.ckpt" if path.is_dir() else path


def load_flow(path: str | Path) -> Flow:
    """The trained flow of a checkpoint, or of a training's folder, in evaluation mode on the CPU.

    The averaged weights, where the training kept any. The lattice, the action and the options are
    the checkpoint's own: ``load_flow(path).lattice``.

    Raises:
        CheckpointError: see :func:`read_checkpoint`; or weights that do not fit the config.
    """
    return flow_of(read_checkpoint(path), path)


def load_family(path: str | Path) -> Family:
    """The trained family of a checkpoint, in evaluation mode on the CPU.

    >>> flow = load_family(path).at(m2=-4.0, lam=5.3, lattice=Lattice([12, 12]))

    Raises:
        CheckpointError: as :func:`load_flow`; or a checkpoint of one flow.
    """
    return family_of(read_checkpoint(path), path)


def flow_of(content: dict[str, Any], path: str | Path) -> Flow:
    """:func:`load_flow` from contents that are already read; ``path`` is for the messages."""
    if is_family(content):
        raise CheckpointError(
            f"ckpt_path={path}: a family of flows, whose flow at a point is "
            "load_family(...).at(m2, lam, lattice)"
        )
    return _restored(build_flow, content, path)


def family_of(content: dict[str, Any], path: str | Path) -> Family:
    """:func:`load_family` from contents that are already read; ``path`` is for the messages."""
    if not is_family(content):
        raise CheckpointError(f"ckpt_path={path}: one flow, and no family of flows")
    family: Family = _restored(build_family, content, path)
    try:  # what only a flow can check, such as the steps of an ODE
        family.at(*family.domain.at((0.5, 0.5), family.domain.shapes[0])[:2], family.smallest)
    except RuntimeError as error:
        raise CheckpointError(f"ckpt_path={path}: {error}") from error
    return family


def is_family(content: dict[str, Any]) -> bool:
    """Whether the contents of a checkpoint are those of a family of flows."""
    return content["flowlat"]["config"].get("family") is not None


def _restored(build: Callable[..., Any], content: dict[str, Any], path: str | Path) -> Any:
    """What ``build`` makes of the config, with the weights, in their precision."""
    config = content["flowlat"]["config"]
    if "kernel" in config["arch"]:
        # how it is computed is not the checkpoint's to say: another machine has other kernels
        config = {**config, "arch": {**config["arch"], "kernel": "auto"}}
    try:
        made = build(config)
    except ConfigError as error:
        raise CheckpointError(f"ckpt_path={path}: {error}") from error
    weights = flow_weights(content)
    if not weights:
        raise CheckpointError(f"ckpt_path={path}: no weights")
    double = any(weight.dtype == torch.float64 for weight in weights.values())
    made.to(dtype=torch.float64 if double else torch.float32)
    load_weights(made, weights, path)
    return made.eval()


def flow_weights(content: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The flow's own state dict within a training checkpoint; empty unless all is plain tensors."""
    state = content.get("state_dict")
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and is_plain(weight) for name, weight in state.items()
    ):
        return {}
    prefix = "averaged.module." if any(k.startswith("averaged.") for k in state) else "flow."
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def load_weights(flow: Flow | Family, weights: dict[str, torch.Tensor], path: str | Path) -> None:
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
            f"{path}: the weights do not fit {_of(flow)} and this architecture: {error}"
        ) from error
    if not all(torch.isfinite(weight).all() for weight in flow.state_dict().values()):
        raise CheckpointError(f"{path}: weights that are not finite")


def _of(flow: Flow | Family) -> str:
    """What a flow is for, as one would type it."""
    if isinstance(flow, Family):
        return f"family.degrees={list(flow.domain.degrees)}"
    return f"lattice.shape={list(flow.lattice.shape)}"


def is_plain(weight: Any) -> bool:
    """Whether it is numbers in memory: no sparse, quantized, nested or meta tensor."""
    return (
        isinstance(weight, torch.Tensor)
        and weight.layout == torch.strided
        and weight.device.type == "cpu"
        and not weight.is_quantized
        and not weight.is_nested
    )
