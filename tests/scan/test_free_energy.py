"""log Z against its derivatives, where both are known."""

import math

import numpy as np
import pytest
from scipy.stats import chi2

from flowlat.flows.domain import Point
from flowlat.scan.console import check_line
from flowlat.scan.free_energy import checks, end_of, ends_of, summary_of
from flowlat.scan.grid import Grid
from flowlat.scan.samples import Samples
from tests.support.scans import FIELD, action, one_field, one_field_exact

GRID = Grid([(6,)], [0.0, 0.5], [0.6, 0.8, 1.0, 1.2])


def exact_samples(point):
    """Nodes of the quadrature for samples: averages and log Z without noise."""
    sites, spacing = math.prod(point.shape), FIELD[1] - FIELD[0]
    conjugate = {"m2": sites * FIELD**2, "lam": sites * FIELD**4}
    log_weight = -action(point, FIELD) + math.log(spacing * len(FIELD))
    return Samples(point, log_weight, conjugate, FIELD, 1, np.arange(0, len(FIELD), 60), True)


@pytest.mark.parametrize("coupling", ["m2", "lam"])
def test_without_noise_it_is_the_quadrature_that_is_off(coupling):
    """By less than what a lower order is off, and as the seventh power of the step at the least."""
    off, estimates = [], []
    for step in (0.4, 0.2):
        low = Point(0.3, 0.8, (6,))
        high = low._replace(**{coupling: getattr(low, coupling) + step})
        a, b = (exact_samples(point) for point in (low, high))
        lower, upper = end_of(a, coupling, step, False), end_of(b, coupling, step, True)
        off.append(abs(upper.value - lower.value))
        estimates.append(abs(upper.lower_order - lower.lower_order))
        assert off[-1] < estimates[-1] / 5
    assert off[0] / off[1] > 60
    assert estimates[0] / estimates[1] == pytest.approx(32, rel=0.5)


def test_the_ends_are_log_z_where_the_step_is_nothing():
    point = Point(0.3, 0.8, (6,))
    log_z, _ = one_field_exact(point)
    assert end_of(exact_samples(point), "lam", 0.0, True).value == pytest.approx(log_z, abs=1e-9)


def run(seed, shift=0.0):
    random = np.random.default_rng(seed)
    ends = {}
    for point in GRID.points():
        samples = one_field(point, random, 1000, weighted=True)
        if point == GRID.points()[1]:
            samples = samples._replace(log_weight=samples.log_weight + shift)
        ends |= ends_of(samples, GRID)
    return checks(ends, GRID)


def test_the_pulls_are_normal():
    """Mean square of 40 pulls, of pairs that share no point, in its 99.98 per cent: p = 2e-4."""
    pulls = [check.pull for seed in range(20) for check in run(seed)[4:9:4]]
    low, high = chi2.ppf([1e-4, 1 - 1e-4], len(pulls))
    assert low < np.square(pulls).sum() < high


def test_all_pairs_are_held_against_each_other():
    found = run(0)
    assert [c.coupling for c in found].count("lam") == 6
    assert [c.coupling for c in found].count("m2") == 4
    assert summary_of(found)["discretisation_over_error"] < 0.3


def test_a_coarse_grid_is_told_with_what_to_do():
    """Without noise the error is that of the discretisation alone, whatever it is set to."""
    low, high = Point(0.0, 0.6, (6,)), Point(0.0, 3.0, (6,))
    grid, ends = Grid([(6,)], [0.0], [0.6, 3.0]), {}
    for point in (low, high):
        ends |= ends_of(exact_samples(point), grid)
    (found,) = checks(ends, grid)
    for error, coarse in ((found.discretisation / 3, True), (found.discretisation * 3, False)):
        line = check_line(summary_of([found._replace(error=error)]))
        expected = (
            "\nWARNING: the steps of action.lam are too coarse to check log Z: its discretisation "
            "error is 3 times the statistical one (6, lam=0.6 to 3); half the step "
        )
        assert (expected in line) == coarse
        assert ("WARNING" in line) == coarse


def test_a_wrong_log_z_is_seen():
    worst = summary_of(run(0, shift=0.2))
    assert abs(worst["worst_pull"]) > 5
    assert GRID.points()[1]._asdict() in worst["between"]


def test_chains_have_none():
    samples = one_field(GRID.points()[0], np.random.default_rng(0), 1000)
    assert ends_of(samples, GRID) == {}
    assert checks({}, GRID) == []
    assert summary_of([]) is None
