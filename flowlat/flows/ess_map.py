"""What a family is worth at points that it was measured at, and between them."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from flowlat.flows.domain import Domain, Point

#: what the state of a training that has a map is called in a checkpoint
STATE = "FamilyEvaluation"
#: measured points that count between them
NEIGHBOURS = 4


class EssMap:
    """ESS at points of the couplings and on several lattices: m2, lam, ESS, sides in each row.

    Args:
        rows: ``(n, 3 + d)``.

    Raises:
        ValueError: another shape, or an ESS that is not between 0 and 1.
    """

    def __init__(self, rows: Tensor, d: int):
        fits = rows.dim() == 2 and rows.shape[1:] == (3 + d,) and len(rows) > 0
        if not (fits and rows.isfinite().all() and (rows[:, 3:] >= 1).all()):
            raise ValueError(f"no map of ESS in {d} dimensions: {tuple(rows.shape)}")
        if not ((rows[:, 2] >= 0) & (rows[:, 2] <= 1)).all():
            raise ValueError("an ESS that is not between 0 and 1")
        self.rows = rows.double()

    def expected(self, point: Point, domain: Domain) -> float:
        """The ESS to expect at a point.

        exp of the mean of log ESS over the four nearest points, weighted by 1 / distance^2, in the
        coordinates of the domain and log L for the mean side L.
        """
        here = torch.tensor(place(*point, domain), dtype=torch.float64)
        places = [place(m2, lam, sides, domain) for m2, lam, _, *sides in self.rows.tolist()]
        squares = (torch.tensor(places, dtype=torch.float64) - here).square().sum(1)
        nearest = squares.topk(min(NEIGHBOURS, len(squares)), largest=False)
        weights = 1 / nearest.values.clamp_min(1e-12)
        log_ess = self.rows[nearest.indices, 2].clamp_min(1e-12).log()
        return math.exp((weights * log_ess).sum() / weights.sum())


def place(m2: float, lam: float, shape: Sequence[float], domain: Domain) -> list[float]:
    """Where a point lies: the coordinates of its couplings, and log L."""
    return [*domain.coordinates(m2, lam), math.log(math.prod(shape)) / len(shape)]


def map_of(content: dict[str, Any], d: int) -> EssMap | None:
    """The map in the contents of a checkpoint; None if there is none that can be read."""
    try:
        return EssMap(content["callbacks"][STATE]["map"], d)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
