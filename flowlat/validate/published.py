"""Published and independently measured values, from published.yaml."""

from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from flowlat.report.compare.columns import Values

M2 = -4.0


class Point(NamedTuple):
    """A theory of the table; published.yaml says what its keys mean."""

    shape: tuple[int, ...]
    lam: float
    values: Values
    trajectory: float = 1.0
    hmc: int = 0
    annealed: tuple[int, int, int] | None = None
    quick: int = 0


def published() -> list[Point]:
    """All points of the table."""
    nodes: Any = OmegaConf.to_container(OmegaConf.load(Path(__file__).with_suffix(".yaml")))
    return [Point(**node) for node in nodes]
