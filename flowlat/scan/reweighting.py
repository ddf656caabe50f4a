"""Curves between the points of a line: each point's samples reweighted towards its neighbours."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from flowlat.flows.domain import Point
from flowlat.scan.grid import volume
from flowlat.scan.samples import Samples
from flowlat.utils.rng import Stream, digest

#: steps between two points of the grid
FINE = 16
#: bootstrap samples: an error from so many is uncertain by 4 per cent
RESAMPLED = 300
#: effective samples, halfway between two points, below which a curve is not to be trusted
FEWEST_EFFECTIVE = 100
#: what a curve has, in the order of their columns
NAMES = ("abs_magnetization", "chi2", "connected_susceptibility", "binder")


class BlockSums(NamedTuple):
    """Of one point: sums of w (1, |M|, M^2, M^4) by block at couplings around it.

    at: the couplings, from one neighbour to the other, ``(fine,)``.
    sums: ``(blocks, fine, 4)``; each coupling has a factor of its own, which drops out.
    effective: (sum w)^2 / sum w^2 at each coupling, ``(fine,)``; of a chain, whose w at its own
        coupling is 1, without what its autocorrelation costs.
    """

    at: np.ndarray
    sums: np.ndarray
    effective: np.ndarray


class Curve(NamedTuple):
    """Observables along a line, of all samples (row 0) and of bootstrap samples (the others).

    at: ``(fine,)``. values: name -> ``(1 + RESAMPLED, fine)``. effective: the fewest effective
    samples of a point halfway to its neighbour.
    """

    line: Sequence[Point]
    along: str
    at: np.ndarray
    values: dict[str, np.ndarray]
    effective: float

    @property
    def trusted(self) -> bool:
        """Whether neighbours overlap."""
        return self.effective >= FEWEST_EFFECTIVE

    def errors(self, name: str) -> np.ndarray:
        """The spread of the bootstrap samples, ``(fine,)``."""
        return self.values[name][1:].std(0, ddof=1)


def fine_grid(couplings: Sequence[float]) -> np.ndarray:
    """The couplings and FINE - 1 between each two, ``(FINE (n - 1) + 1,)``."""
    knots = np.arange(len(couplings)) * FINE
    return np.interp(np.arange(knots[-1] + 1), knots, couplings)


def block_sums(samples: Samples, line: Sequence[Point], along: str) -> BlockSums:
    """w(c) = w exp(-(c - c0) dS/dc) at all couplings up to the neighbours of a point, c0 its own.

    Ferrenberg and Swendsen, Phys. Rev. Lett. 61 (1988) 2635, of weighted samples.
    """
    couplings = [getattr(point, along) for point in line]
    own = line.index(samples.point)
    low, high = max(own - 1, 0) * FINE, min(own + 1, len(line) - 1) * FINE
    at = fine_grid(couplings)[low : high + 1]
    m = np.abs(samples.magnetization)
    moments = np.column_stack([np.ones_like(m), m, m**2, m**4])
    sums, effective = [], []
    for c in at:
        exponent = samples.log_weight - (c - couplings[own]) * samples.conjugate[along]
        weight = np.exp(exponent - exponent.max())
        sums.append(np.add.reduceat(weight[:, None] * moments, samples.starts, axis=0))
        effective.append(weight.sum() ** 2 / (weight**2).sum())
    return BlockSums(at, np.stack(sums, 1), np.array(effective))


def curve_of(sums: Mapping[Point, BlockSums], line: Sequence[Point], along: str) -> Curve:
    """The moments of two neighbours, (1 - t) <.>_a + t <.>_b at a share t of the way, and what is
    derived from them.

    Each alone is an estimate at every coupling between; the shares make the curve continuous, and
    give each point where its weights are good. NaN between two points that do not overlap: of which
    one has fewer than ``FEWEST_EFFECTIVE`` effective samples halfway. For errors the blocks of
    every point are drawn with replacement (bootstrap: Efron, Ann. Statist. 7 (1979) 1), anew for
    each point.
    """
    at = fine_grid([getattr(point, along) for point in line])
    means = np.zeros((1 + RESAMPLED, len(at), 3))
    for number, point in enumerate(line):
        found = sums[point]
        counts = resampling(len(found.sums), number, point)
        total = np.tensordot(counts, found.sums, 1)
        first = max(number - 1, 0) * FINE
        share = 1 - np.abs(np.arange(first, first + len(found.at)) - number * FINE) / FINE
        means[:, first : first + len(found.at)] += share[:, None] * total[..., 1:] / total[..., :1]
    halfway = [overlap(sums[a], sums[b]) for a, b in pairwise(line)]
    for number, effective in enumerate(halfway):
        if effective < FEWEST_EFFECTIVE:
            means[:, number * FINE + 1 : (number + 1) * FINE] = math.nan
    return Curve(line, along, at, derived(means, volume(line[0])), min(halfway))


def derived(means: np.ndarray, sites: int) -> dict[str, np.ndarray]:
    """The observables from <|M|>, <M^2>, <M^4> ``(..., 3)``, by ``NAMES``."""
    m, m2, m4 = np.moveaxis(means, -1, 0)
    columns = m, sites * m2, sites * (m2 - m**2), 1 - m4 / (3 * m2**2)
    return dict(zip(NAMES, columns, strict=True))


def overlap(lower: BlockSums, upper: BlockSums) -> float:
    """The fewest effective samples of two neighbours halfway between them."""
    # the stretch between them ends the one and begins the other
    return float(min(lower.effective[-1 - FINE // 2], upper.effective[FINE // 2]))


def resampling(blocks: int, number: int, point: Point) -> np.ndarray:
    """How often each block of a point counts, ``(1 + RESAMPLED, blocks)``; in row 0 once."""
    seed = int.from_bytes(digest(number, Stream.BOOTSTRAP, *point.shape, n_bytes=16), "little")
    random = np.random.default_rng(seed)
    drawn = random.multinomial(blocks, np.full(blocks, 1 / blocks), RESAMPLED)
    return np.concatenate([np.ones((1, blocks)), drawn])
