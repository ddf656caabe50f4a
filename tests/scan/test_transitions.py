"""Peaks and crossings of a theory of one mode, exp(-V (m2 phi^2 + phi^4)), which is a quadrature.

At m2 = 0 its U4 is the same for all V, since V drops out with phi -> V^(-1/4) phi: all crossings
are there, at U4 = 1 - G(5/4) G(1/4) / (3 G(3/4)^2).
"""

from math import gamma

import numpy as np
import pytest
from scipy.stats import chi2

from flowlat.flows.domain import Point
from flowlat.scan.reweighting import NAMES, RESAMPLED, Curve, block_sums, curve_of, derived
from flowlat.scan.transitions import transitions
from tests.support.scans import one_field, one_field_exact

U4_AT_0 = 1 - gamma(5 / 4) * gamma(1 / 4) / (3 * gamma(3 / 4) ** 2)


def curve(values, shape, random, n=1000, weighted=False):
    line = [Point(m2, 1.0, shape) for m2 in values]
    sums = {p: block_sums(one_field(p, random, n, weighted), line, "m2") for p in line}
    return curve_of(sums, line, "m2")


def exact(m2, shape):
    _, moments = one_field_exact(Point(m2, 1.0, shape))
    values = derived(np.array(moments), shape[0])
    return [values[name] for name in NAMES]


def one_run(seed):
    random = np.random.default_rng(seed)
    values = np.linspace(-0.4, 0.4, 5)
    return transitions([curve(values, shape, random) for shape in ((4,), (100,))])


def test_crossings_and_their_errors():
    """Mean squares of 40 pulls of where and how high, each in its 99.98 per cent: p = 4e-4."""
    runs = [one_run(seed)["crossings"][0] for seed in range(40)]
    assert runs[0]["shapes"] == ["4", "100"]
    assert (runs[0]["lam"], runs[0]["along"]) == (1.0, "m2")
    for name, truth in (("m2", 0.0), ("binder", U4_AT_0)):
        pulls = [(run[name]["value"] - truth) / run[name]["error"] for run in runs]
        low, high = chi2.ppf([1e-4, 1 - 1e-4], len(pulls))
        assert low < np.square(pulls).sum() < high, name


def test_the_curve_between_the_points():
    """Every 8th coupling, 4 observables, within 5 errors: p = 3e-5 were they independent."""
    random = np.random.default_rng(1)
    for weighted in (False, True):
        found = curve([-0.5, 0.0, 0.5], (6,), random, 4000, weighted)
        assert found.trusted
        for i in range(0, len(found.at), 8):
            for name, value in zip(NAMES, exact(found.at[i], (6,)), strict=True):
                assert abs(found.values[name][0, i] - value) < 5 * found.errors(name)[i], name


def test_the_peak():
    """Of chi_c, known from the quadrature, within 5 errors, which are small: p = 1e-6."""
    values, shape = np.linspace(-2.0, 1.0, 13), (8,)
    fine = np.linspace(-2, 1, 3001)
    heights = [exact(m2, shape)[2] for m2 in fine]
    top = int(np.argmax(heights))
    assert 0 < top < 3000
    (found,) = transitions([curve(values, shape, np.random.default_rng(2), 8000)])["peaks"]
    for name, truth in (("m2", fine[top]), ("connected_susceptibility", heights[top])):
        assert abs(found[name]["value"] - truth) < 5 * found[name]["error"]
    assert found["m2"]["error"] < 0.1
    assert found["connected_susceptibility"]["error"] < 0.02


def test_a_peak_beyond_the_end_is_none():
    (found,) = transitions([curve([0.5, 1.0, 1.5], (8,), np.random.default_rng(3))])["peaks"]
    assert found["note"] == "chi_c is largest at the end, m2=0.5"


def test_one_phase_alone_has_no_crossing():
    curves = [curve([0.5, 1.0], shape, np.random.default_rng(4), 4000) for shape in ((4,), (12,))]
    assert "symmetric" in transitions(curves)["crossings"][0]["note"]
    curves = [curve([-1.5, -1.2], shape, np.random.default_rng(4), 4000) for shape in ((4,), (12,))]
    assert "ordered" in transitions(curves)["crossings"][0]["note"]


def test_neighbours_that_do_not_overlap_show_nothing():
    found = transitions([curve([-40.0, 0.0, 40.0], (64,), np.random.default_rng(5))])["peaks"][0]
    assert "effective samples halfway" in found["note"]
    assert "m2" not in found


@pytest.mark.parametrize("at", [-0.31, 0.02, 0.4])
def test_a_crossing_among_noise(at):
    """U4 of two volumes that differ at one place and are the same, but for noise, elsewhere."""
    random, x = np.random.default_rng(6), np.linspace(-1, 1, 65)
    line, noise = [Point(-1.0, 1.0, (4,)), Point(1.0, 1.0, (4,))], (1 + RESAMPLED, 65)
    rise = np.exp(-(((x - at) / 0.2) ** 2)) * (at - x)
    curves = []
    for shape, u4 in ((4,), 0.3 + 0 * x), ((8,), 0.3 + rise):
        values = dict.fromkeys(NAMES, np.zeros(noise))
        values["binder"] = u4 + 1e-3 * random.standard_normal(noise)
        own = [p._replace(shape=shape) for p in line]
        curves.append(Curve(own, "m2", x, values, 1e6))
    (found,) = transitions(curves)["crossings"]
    assert abs(found["m2"]["value"] - at) < 0.02
    assert found["m2"]["error"] < 0.02
