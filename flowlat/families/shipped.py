"""Which of the trained families in the package a theory belongs to."""

from functools import cache
from pathlib import Path
from typing import Any

from flowlat.config.build import instantiate
from flowlat.config.checkpoint import read_checkpoint
from flowlat.config.schemas import option_name
from flowlat.flows.domain import Domain, Point
from flowlat.utils.errors import ConfigError


def checkpoints() -> list[Path]:
    """Their files, ``NAME.ckpt`` trained by ``python train.py family=NAME``."""
    return sorted(Path(__file__).parent.glob("*.ckpt"))


@cache  # a scan asks for each of its points
def _known() -> list[tuple[Path, str, Domain]]:
    """The action and the domain of each."""
    read = [(path, read_checkpoint(path)["flowlat"]["config"]) for path in checkpoints()]
    return [(path, c["action"]["_target_"], instantiate(c, "family")) for path, c in read]


def shipped_family(config: dict[str, Any]) -> Path:
    """The checkpoint of the family whose domain has the theory of a config, or else is nearest.

    Raises:
        ConfigError: there is none of this action, or in this dimension.
    """
    shape, action = config["lattice"]["shape"], config["action"]
    near = {
        path: domain.distance(Point(action["m2"], action["lam"], tuple(shape)))
        for path, target, domain in _known()
        if target == action["_target_"] and domain.d == len(shape)
    }
    if not near:
        raise ConfigError(
            f"lattice.shape={shape} action={option_name(action)}: no family in the package is for "
            "it (python -m flowlat.families lists them)"
        )
    return min(near, key=lambda path: near[path])
