"""The weights that a training starts from: those of a flow, or of a family at its theory."""

from pathlib import Path
from typing import Any

from torch import Tensor

from flowlat.config.checkpoint import flow_weights, is_family, read_checkpoint
from flowlat.families.point import flow_at
from flowlat.families.shipped import shipped_family
from flowlat.utils.errors import CheckpointError

#: ``init_from``: the family in the package that fits
FAMILY = "family"


def read_start(config: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """The checkpoint that ``init_from`` names, and its contents.

    Raises:
        ConfigError: ``init_from=family``, and none is for this theory.
        CheckpointError: it cannot be read.
    """
    named = config["init_from"]
    path = shipped_family(config) if named == FAMILY else Path(named)
    try:
        return path, read_checkpoint(path)
    except CheckpointError as error:
        raise CheckpointError(f"init_from: {error}") from error


def start_weights(path: Path, content: dict[str, Any], config: dict[str, Any]) -> dict[str, Tensor]:
    """The state dict to start from, at the theory of a config, in the domain of a family or not."""
    if is_family(content):
        return flow_at(content, path, config, extrapolate=True).state_dict()
    return flow_weights(content)
