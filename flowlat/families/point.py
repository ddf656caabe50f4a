"""The flow of a family at the theory of a config."""

import logging
from pathlib import Path
from typing import Any

from flowlat.config.checkpoint import family_of
from flowlat.flows.domain import Point
from flowlat.flows.ess_map import map_of
from flowlat.flows.flow import Flow
from flowlat.lattice import Lattice
from flowlat.utils.errors import ConfigError

log = logging.getLogger(__name__)


def flow_at(
    content: dict[str, Any], path: str | Path, config: dict[str, Any], extrapolate: bool
) -> Flow:
    """The flow of the family in a checkpoint, at lattice and action of the config.

    One line says which, and the ESS to expect by the family's map.

    Args:
        content: of the checkpoint, see ``read_checkpoint``.
        path: for the messages.
        config: with ``lattice`` and ``action``.
        extrapolate: beyond the family's domain, too.

    Raises:
        ConfigError: a theory outside of the domain; or one of another action or dimension.
        CheckpointError: see :func:`flowlat.config.checkpoint.load_family`.
    """
    family, action = family_of(content, path), config["action"]
    trained_on = content["flowlat"]["config"]["action"]
    for key, value in trained_on.items():
        if key not in ("m2", "lam") and action.get(key) != value:
            raise ConfigError(f"action.{key}={action.get(key)}: the family of {path} has {value}")
    point = Point(action["m2"], action["lam"], tuple(config["lattice"]["shape"]))
    family.domain.require_dimension(point.shape)
    where = ""
    try:
        family.domain.require(point)
    except ConfigError as error:
        if not extrapolate:
            raise ConfigError(f"{error}; family.extrapolate=true goes beyond") from error
        where = ", extrapolated"
    known = map_of(content, family.domain.d)
    if known and not where:  # what a map says of its edge is no promise beyond it
        where = f", ESS about {known.expected(point, family.domain):.2f} by its map"
    named = Path(path).name, *point[:2], list(point.shape)
    log.info("the family of %s at m2=%g, lam=%g on %s%s", *named, where)
    return family.at(*point[:2], Lattice(point.shape))
