"""Which theories a family is judged at: corners of what it is to cover, and points at random."""

import math
from dataclasses import dataclass

import torch

from flowlat.config.checkpoint import load_family
from flowlat.families import checkpoints
from flowlat.flows.domain import Point


@dataclass(frozen=True)
class Row:
    """A lattice of a family. ``ess``: at least, of the worst theory; None: none is set.

    Args:
        family: in the package.
        shape: of the lattice, which the family may never have seen.
        m2: from low to high.
        clearance: L over the correlation length at least; None: what the domain has.
        corner: share of the range of log m at which the two corners lie; an ordered phase ends, and
            has its longest correlations, at large lam.
    """

    family: str
    shape: tuple[int, ...]
    m2: tuple[float, float]
    ess: float | None = None
    clearance: float | None = None
    corner: float = 0.0


def cubes(family: str, d: int, goals: dict[int, float | None], **options: object) -> list[Row]:
    """Rows of equal sides, a goal each."""
    return [Row(family, (side,) * d, ess=ess, **options) for side, ess in goals.items()]  # type: ignore[arg-type]


SYMMETRIC: dict[str, object] = {"m2": (-6.0, 2.0), "clearance": 4.0}
ORDERED: dict[str, object] = {"m2": (-6.0, -2.0), "corner": 1.0}
#: shapes that are in no training are among them: 14^2, 9 x 15, 32^2, 7^3, 12^3, 8^4 and others
ROWS = [
    *cubes("phi4_2d", 2, {8: 0.9, 12: 0.9, 14: 0.8, 16: 0.8, 20: 0.6, 32: 0.3}, **SYMMETRIC),
    Row("phi4_2d", (9, 15), ess=0.8, **SYMMETRIC),  # type: ignore[arg-type]
    *cubes("phi4_3d", 3, {4: 0.85, 6: 0.85, 7: 0.85, 8: 0.85, 10: None, 12: None}, **SYMMETRIC),
    *cubes("phi4_4d", 4, {4: 0.85, 6: 0.85, 8: None}, **SYMMETRIC),
    Row("phi4_4d", (4, 4, 4, 8), ess=0.85, **SYMMETRIC),  # type: ignore[arg-type]
    *cubes("phi4_1d", 1, {4: 0.95, 16: 0.95, 41: 0.95, 64: 0.95}, m2=(-4.0, 4.0)),
    *cubes("phi4_2d_ordered", 2, {8: 0.85, 12: 0.85, 16: 0.85, 20: 0.85}, **ORDERED),
    *cubes("phi4_3d_ordered", 3, {6: 0.85, 7: 0.85, 8: 0.85}, **ORDERED),
    *cubes("phi4_4d_ordered", 4, {4: 0.85, 6: 0.85}, **ORDERED),
]


def theories(row: Row, seed: int, n_random: int) -> list[Point]:
    """Two corners, the longest correlations of either end of m2, and points at random.

    These are uniform in m2 and in the logarithm of the mass.
    """
    path = next(path for path in checkpoints() if path.stem == row.family)
    domain = load_family(path).domain
    low = (row.clearance or domain.clearance) / min(row.shape)
    stream = torch.Generator().manual_seed(1000 * seed + math.prod(row.shape))
    drawn = torch.rand(n_random, 2, generator=stream, dtype=torch.float64).tolist()
    points = []
    for share, where in [[0.0, row.corner], [1.0, row.corner], *drawn]:
        m2 = row.m2[0] + share * (row.m2[1] - row.m2[0])
        ends = domain.range_of_mass(m2, row.shape)
        start = max(low, ends[0])
        lam = domain.curve.lam(m2, start * (ends[1] / start) ** where)
        points.append(Point(round(m2, 3), round(max(lam, 0.0), 4), row.shape))
    return points
