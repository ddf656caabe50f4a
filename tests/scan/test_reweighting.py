"""Curves between the points of a scan: where neighbours do not overlap, there are none."""

import numpy as np

from flowlat.flows.domain import Point
from flowlat.scan.reweighting import FEWEST_EFFECTIVE, FINE, BlockSums, curve_of, fine_grid

LINE = [Point(-4.0, lam, (4, 4)) for lam in (5.0, 6.0, 7.0)]


def sums_of(number, effective):
    """Sums of a point with so many effective samples halfway to either neighbour."""
    low, high = max(number - 1, 0) * FINE, min(number + 1, len(LINE) - 1) * FINE
    at = fine_grid([point.lam for point in LINE])[low : high + 1]
    moments = np.random.default_rng(number).uniform(1, 2, (20, len(at), 4))
    return BlockSums(at, moments, np.full(len(at), float(effective)))


def test_a_gap_where_neighbours_do_not_overlap():
    """Both halves of an interval count; the points themselves stay."""
    enough = [2 * FEWEST_EFFECTIVE, 3 * FEWEST_EFFECTIVE, FEWEST_EFFECTIVE - 1]
    sums = {p: sums_of(i, n) for i, (p, n) in enumerate(zip(LINE, enough, strict=True))}
    curve = curve_of(sums, LINE, "lam")
    assert curve.effective == FEWEST_EFFECTIVE - 1
    assert not curve.trusted
    for values in curve.values.values():
        gap = np.isnan(values).all(0)
        assert (np.isnan(values).any(0) == gap).all()
        assert np.flatnonzero(gap).tolist() == list(range(FINE + 1, 2 * FINE))
