"""The weights that a training starts from: those of a flow, or of a family."""

from pathlib import Path
from typing import Any

from torch import Tensor

from flowlat.config.checkpoint import flow_weights, read_checkpoint
from flowlat.families.point import flow_at
from flowlat.families.shipped import shipped_family
from flowlat.utils.errors import CheckpointError, ConfigError

#: ``init_from``: the family in the package that fits
FAMILY = "family"
#: what the polynomials of a family are polynomials in
COORDINATES = ("m2", "mass", "critical", "slope", "curvature", "degrees")


def read_start(config: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """The checkpoint that ``init_from`` names, and its contents.

    Raises:
        ConfigError: ``init_from=family``, and none is for this theory.
        CheckpointError: it cannot be read.
    """
    named = config["init_from"]
    try:
        path = shipped_family(config) if named == FAMILY else Path(named)
    except ConfigError as error:
        raise ConfigError(f"init_from={named}: {error}; a training needs no start") from error
    try:
        return path, read_checkpoint(path)
    except CheckpointError as error:
        raise CheckpointError(f"init_from: {error}") from error


def start_weights(path: Path, content: dict[str, Any], config: dict[str, Any]) -> dict[str, Tensor]:
    """The state dict to start from.

    For a flow that of a flow, or of a family at the theory of the config, in its domain or not. For
    a family that of a family in the same coordinates, whatever its lattices and edges.

    Raises:
        ConfigError: a family in other coordinates; a theory of another action.
        CheckpointError: a family is to start from one flow.
    """
    here, there = config["family"], content["flowlat"]["config"].get("family")
    if here is None:
        if there is None:
            return flow_weights(content)
        return flow_at(content, path, config, extrapolate=True).state_dict()
    if there is None:
        raise CheckpointError(f"{path}: one flow, from which no family can start")
    for key in COORDINATES:
        if here[key] != there[key]:
            raise ConfigError(f"family.{key}={here[key]}: the family of init_from has {there[key]}")
    return flow_weights(content)
