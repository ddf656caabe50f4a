"""Where a family of flows is at home: couplings, their coordinates, and volumes."""

import math
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from flowlat.flows.mass import MassCurve, Polynomial
from flowlat.lattice.momentum_basis import chebyshev
from flowlat.utils.errors import ConfigError
from flowlat.utils.limits import Shape

#: from low to high
Interval = Annotated[Sequence[float], Field(min_length=2, max_length=2)]
#: of the polynomials in a coordinate
Degree = Annotated[int, Field(ge=0, le=16)]
#: a shape may be there several times: it is drawn as often
Shapes = Annotated[Sequence[Shape], Field(min_length=1, max_length=64)]
#: points a coordinate at which a family is evaluated
PointsPerAxis = Annotated[int, Field(ge=2, le=32)]
#: by how much a number may miss an edge that was computed: what is printed has five digits
ROUNDING = 1e-4


class Point(NamedTuple):
    """A theory: the couplings of phi^4 and a lattice."""

    m2: float
    lam: float
    shape: tuple[int, ...]


class Domain:
    """Couplings (m2, lam) and lattices; coordinates in [-1, 1]^2 in which a flow changes smoothly.

    What a flow has to do depends most of all on the correlation length 1/m, see :class:`MassCurve`.
    The coordinates are m2 and log m, each mapped linearly to [-1, 1], and held there beyond: a free
    propagator, of log m^2, is then linear in them, and what happens at a small mass has its
    share of the interval, however short it is in lam. In an ordered phase, with slope the critical
    line and neither lam_c nor curvature, "m" is the share of it that lam has reached.

    The domain has m2 and lam in their intervals, m L >= ``clearance`` for the shortest side L of
    the lattice, and sides between the shortest and the longest of ``shapes``.

    Args:
        m2: from low to high.
        lam: from low to high.
        mass: what is mapped to [-1, 1], from low to high.
        critical: lam_c of the :class:`MassCurve`.
        slope: a.
        curvature: b.
        shapes: of the lattices to train on, all of the same dimension.
        clearance: L over the correlation length at least; 0: any.
        degrees: of the polynomials in m2 and in log m, see :meth:`basis`.
        points: in m2 and in log m, at which each lattice is evaluated.

    Raises:
        ConfigError: an interval that is none, shapes of several dimensions, or a mass that falls
            with lam.
    """

    def __init__(
        self,
        m2: Interval,
        lam: Interval,
        mass: Interval,
        critical: Polynomial,
        slope: Polynomial,
        curvature: Polynomial,
        shapes: Shapes,
        clearance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 4.0,
        degrees: Annotated[Sequence[Degree], Field(min_length=2, max_length=2)] = (3, 5),
        points: Annotated[Sequence[PointsPerAxis], Field(min_length=2, max_length=2)] = (4, 3),
    ):
        for name, (low, high) in {"m2": m2, "lam": lam, "mass": mass}.items():
            if not -math.inf < low < high < math.inf or (name != "m2" and low < 0):
                raise ConfigError(f"family.{name}={[low, high]}: no interval")
        self.m2, self.lam, self.mass_range = tuple(m2), tuple(lam), tuple(mass)
        self.curve = MassCurve(critical, slope, curvature)
        self.shapes = [tuple(shape) for shape in shapes]
        if len({len(shape) for shape in self.shapes}) > 1 or self.mass_range[0] <= 0:
            raise ConfigError(f"family.shapes={shapes}, mass={mass}: one dimension, masses above 0")
        self.clearance, self.degrees, self.points = clearance, tuple(degrees), tuple(points)
        for m2_value in torch.linspace(self.m2[0], self.m2[1], 33).tolist():
            _, a, b = self.curve.at(m2_value)
            if a < 0 or b < 0 or a + b == 0:
                raise ConfigError(
                    f"family.slope, family.curvature: {a:.3g} and {b:.3g} at m2={m2_value:.3g}, "
                    "but the mass has to grow with lam"
                )

    @property
    def d(self) -> int:
        """The dimension of its lattices."""
        return len(self.shapes[0])

    @property
    def lattices(self) -> list[tuple[int, ...]]:
        """The shapes, each once, from the smallest volume to the largest."""
        return sorted({*self.shapes}, key=lambda shape: (math.prod(shape), shape))

    def coordinates(self, m2: float, lam: float) -> tuple[float, float]:
        """m2 and log m in [-1, 1], held at the ends beyond."""
        low, high = map(math.log, self.mass_range)
        log_mass = math.log(max(self.curve.mass(m2, lam), self.mass_range[0]))
        share = (m2 - self.m2[0]) / (self.m2[1] - self.m2[0]), (log_mass - low) / (high - low)
        x, y = (min(max(2 * s - 1, -1.0), 1.0) for s in share)
        return x, y

    def basis(self, m2: float, lam: float) -> Tensor:
        """T_i(x) T_j(y) / (1 + i + j) for i / degrees[0] + j / degrees[1] <= 1, in float64.

        The first is 1. The coefficients of a smooth function fall with their order, and an
        optimizer that moves all of them at one rate is to move the function no further by each.
        """
        n, k = self.degrees
        x, y = torch.tensor(self.coordinates(m2, lam), dtype=torch.float64)
        products = chebyshev(x, n + 1).unsqueeze(1) * chebyshev(y, k + 1)
        i, j = torch.meshgrid(torch.arange(n + 1), torch.arange(k + 1), indexing="ij")
        return (products / (1 + i + j))[i * k + j * n <= n * k]

    def range_of_mass(self, m2: float, shape: Sequence[int]) -> tuple[float, float]:
        """The masses of the domain at m2 on this lattice, from low to high."""
        low, high = (self.curve.mass(m2, lam) for lam in self.lam)
        low = max(low, self.clearance / min(shape), self.mass_range[0])
        return low, min(high, self.mass_range[1])

    def range_of_lam(self, m2: float, shape: Sequence[int]) -> tuple[float, float]:
        """The lam of the domain at m2 on this lattice, from low to high."""
        low, high = (self.curve.lam(m2, mass) for mass in self.range_of_mass(m2, shape))
        return low, high

    def distance(self, point: Point) -> float:
        """How far outside m2 and lam lie, in units of the intervals' lengths; 0 within."""
        near = min(max(point.m2, self.m2[0]), self.m2[1])
        low, high = self.range_of_lam(near, point.shape)
        beyond = max(low - point.lam, point.lam - high, 0.0) / (self.lam[1] - self.lam[0])
        return beyond + abs(point.m2 - near) / (self.m2[1] - self.m2[0])

    def at(self, shares: Sequence[float], shape: Sequence[int]) -> Point:
        """The point at these shares, from 0 to 1, of the ranges of m2 and of log m."""
        m2 = self.m2[0] + shares[0] * (self.m2[1] - self.m2[0])
        low, high = map(math.log, self.range_of_mass(m2, shape))
        lam = self.curve.lam(m2, math.exp(low + shares[1] * (high - low)))
        return Point(m2, max(lam, 0.0), tuple(shape))  # of rounding

    def draw(self, generator: torch.Generator) -> Point:
        """A lattice, m2 and log m; these with the density 1 / sqrt(1 - x^2) of -1 < x < 1.

        That is the one under which Chebyshev polynomials are orthogonal, and gives the edges, where
        they are largest and a fit is worst, their share.
        """
        which = int(torch.randint(len(self.shapes), (), generator=generator))
        angles = torch.rand(2, generator=generator, dtype=torch.float64) * (math.pi / 2)
        return self.at(angles.sin().square().tolist(), self.shapes[which])

    def held_out(self) -> list[Point]:
        """A grid of every lattice, edges and corners included, none of which is ever drawn."""
        grid = [torch.linspace(0, 1, n, dtype=torch.float64).tolist() for n in self.points]
        return [self.at((s, t), shape) for shape in self.lattices for s in grid[0] for t in grid[1]]

    def require(self, point: Point) -> None:
        """Raise ConfigError, with the nearest edge, unless a point lies in the domain."""
        m2, lam, shape = point
        self.require_dimension(shape)
        sides = [side for known in self.shapes for side in known]
        if not min(sides) <= min(shape) <= max(shape) <= max(sides):
            raise ConfigError(
                f"lattice.shape={list(shape)}: outside of the family's domain, sides from "
                f"{min(sides)} to {max(sides)}"
            )
        if not self.m2[0] <= m2 <= self.m2[1]:
            edge = min(max(m2, self.m2[0]), self.m2[1])
            raise ConfigError(
                f"action.m2={m2}: outside of the family's domain, the nearest is action.m2={edge:g}"
            )
        low, high = self.range_of_lam(m2, shape)
        if not low - ROUNDING <= lam <= high + ROUNDING:
            edge = low if lam < low else high
            longest = 1 / self.range_of_mass(m2, shape)[0]
            named = lam < low and self.clearance > 0
            length = f", correlation length at most {longest:.3g}" if named else ""
            raise ConfigError(
                f"action.lam={lam} with action.m2={m2}, lattice.shape={list(shape)}: outside of "
                f"the family's domain, the nearest is action.lam={edge:.5g}{length}"
            )

    def require_dimension(self, shape: Sequence[int]) -> None:
        """Raise ConfigError unless a lattice has the family's dimension."""
        if len(shape) != self.d:
            raise ConfigError(f"lattice.shape={list(shape)}: the family is one of d={self.d}")
