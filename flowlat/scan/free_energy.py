"""The check of a scan: log Z, from the weights, against its derivative, from the averages."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from flowlat.analysis.importance import normalised
from flowlat.analysis.jackknife import jackknife, leave_one_out, ratio
from flowlat.flows.domain import Point
from flowlat.scan.grid import Grid
from flowlat.scan.samples import Samples


class End(NamedTuple):
    """What a point adds to the difference over the interval on one side of it.

    value, error: log Z + s h/2 <A> + h^2/10 k2 + s h^3/120 k3, s = 1 at the upper end.
    lower_order: by how much it would differ with h^2/12 k2 and without k3.
    """

    value: float
    error: float
    lower_order: float


#: by coupling, point, and whether it is the upper end
Ends = dict[tuple[str, Point, bool], End]


class Check(NamedTuple):
    """log Z(b) - log Z(a) + the integral of <A> from a to b, which is 0."""

    coupling: str
    low: Point
    high: Point
    difference: float
    error: float
    discretisation: float

    @property
    def pull(self) -> float:
        """In units of the error."""
        return self.difference / self.error if self.error else math.nan

    @property
    def coarseness(self) -> float:
        """The discretisation error in units of the error."""
        return self.discretisation / self.error if self.error else math.nan

    def where(self) -> dict[str, Any]:
        """The coupling and the two points."""
        return {"coupling": self.coupling, "between": [self.low._asdict(), self.high._asdict()]}


def end_of(samples: Samples, coupling: str, step: float, upper: bool) -> End:
    """A point as an end of the interval of length ``step`` in a coupling c.

    d log Z / dc = -<A>, A = dS/dc: sum_x phi^2 for m2, sum_x phi^4 for lam; d<A>/dc = -k2 and
    d^2<A>/dc^2 = k3, its second and third cumulant, from the same samples. With them the integral
    of <A> from a to b = a + h is that of the quintic which has these values and derivatives at both
    ends (two-point Hermite, or Lanczos quadrature),

        h/2 (A_a + A_b) - h^2/10 (k2_a - k2_b) + h^3/120 (k3_a + k3_b),  off by h^7 A^(6) / 100800,

    and without k3, with h^2/12, that of the cubic, off by h^5 A^(4) / 720. What the cubic is off by
    is the estimate of the discretisation error, far too high for the quintic.

    All from one jackknife over blocks: log Z and <A> come from the same weights.
    """
    weight, scale = normalised(samples.log_weight)
    a = samples.conjugate[coupling]
    centre = np.average(a, weights=weight)
    powers = [(a - centre) ** n for n in range(4)]
    columns = np.column_stack([np.ones_like(weight), *(weight * power for power in powers)])
    others = leave_one_out(columns, samples.population)
    sign = 1 if upper else -1

    def parts(sums: np.ndarray) -> tuple[float, float]:
        mean_weight, first, second, third = ratio(sums)[0], *ratio(sums[1:])
        k2 = second - first**2
        k3 = third - 3 * second * first + 2 * first**3
        value = math.log(mean_weight) + sign * step / 2 * first + step**2 / 10 * k2
        value += sign * step**3 / 120 * k3
        return value, step**2 * (1 / 12 - 1 / 10) * k2 - sign * step**3 / 120 * k3

    value, lower_order = parts(columns.sum(0))
    error, _ = jackknife(np.array(value), np.array([parts(s)[0] for s in others]), "d log Z")
    return End(value + scale + sign * step / 2 * centre, float(error), lower_order)


def ends_of(samples: Samples, grid: Grid) -> Ends:
    """Of a point, at each of the intervals beside it; none without log Z."""
    if not samples.has_log_z:
        return {}
    point, found = samples.point, {}
    for coupling in ("m2", "lam"):
        for low, high in intervals(grid, coupling):
            if point in (low, high):
                step = getattr(high, coupling) - getattr(low, coupling)
                upper = point == high
                found[coupling, point, upper] = end_of(samples, coupling, step, upper)
    return found


def intervals(grid: Grid, coupling: str) -> list[tuple[Point, Point]]:
    """All pairs of neighbours along a coupling."""
    return [pair for line in grid.lines(coupling) for pair in pairwise(line)]


def checks(ends: Ends, grid: Grid) -> list[Check]:
    """All pairs of neighbours along m2 and along lam; none without log Z.

    Neighbours are independent: their errors add in squares.
    """
    found = []
    for coupling in ("m2", "lam") if ends else ():
        for low, high in intervals(grid, coupling):
            a, b = ends[coupling, low, False], ends[coupling, high, True]
            error, off = math.hypot(a.error, b.error), abs(b.lower_order - a.lower_order)
            found.append(Check(coupling, low, high, b.value - a.value, error, off))
    return found


def summary_of(found: Sequence[Check]) -> dict[str, Any] | None:
    """The worst pull and where; discretisation over error at its largest, and where (coarsest)."""
    if not found:
        return None
    worst = max(found, key=lambda check: abs(check.pull))
    coarsest = max(found, key=lambda check: np.nan_to_num(check.coarseness, nan=-1.0))
    return {
        "pairs": len(found),
        "worst_pull": worst.pull,
        **worst.where(),
        "discretisation_over_error": coarsest.coarseness,
        "coarsest": coarsest.where(),
    }
