import math

import numpy as np
import pytest
import torch
from scipy import signal, stats

from flowlat.actions import Free, Phi4
from flowlat.analysis.estimates import chain_estimate, gradient, weighted_estimate
from flowlat.analysis.gamma_method import gamma_method
from flowlat.analysis.importance import ess, log_z, log_z_estimate
from flowlat.analysis.jackknife import block_starts
from flowlat.lattice import Lattice
from flowlat.observables import Configurations, EffectiveMass, Observable, Phi2, TwoPoint
from tests.support.transfer_matrix import chain, chain_two_point

P_VALUE = 1e-5


class Plain(Observable):
    """An average."""

    symbol = "a"

    def measure(self, configurations):
        raise NotImplementedError


class Ratio(Plain):
    """<a> / <b>."""

    def derive(self, means):
        return means[0] / means[1]


class Roots(Plain):
    """A vector: sqrt of every average, NaN for a negative one."""

    def derive(self, means):
        return torch.sqrt(means)


def pairs(rng, n):
    """(a, b) of means 2 and 4, variances 1 and 1.25, covariance 0.5."""
    noise = rng.normal(size=(n, 2))
    return np.stack([2 + noise[:, 0], 4 + 0.5 * noise[:, 0] + noise[:, 1]], 1)


def ratio_error(n):
    """sqrt((var a - 2 r cov + r^2 var b) / n) / <b>, r = <a> / <b> = 1/2."""
    return math.sqrt((1 - 0.5 + 0.25 * 1.25) / n) / 4


def two_sided(pulls):
    return P_VALUE < stats.chi2.sf(np.sum(np.square(pulls)), np.size(pulls)) < 1 - P_VALUE


# chains


def test_an_average_is_what_the_gamma_method_says():
    chains = list(np.random.default_rng(1).normal(size=(3, 200)))
    assert chain_estimate(Plain(), chains, "x") == pytest.approx(gamma_method(chains, "x"))
    vectors = [np.column_stack([c, 2 * c]) for c in chains]
    first, second = chain_estimate(Plain(), vectors, "x")
    assert first == pytest.approx(gamma_method(chains, "x"))
    assert second.error == pytest.approx(2 * first.error)


def test_a_ratio():
    """Its error by hand and by 1,000 resamplings of 10,000 pairs; 10 % is over four sigma."""
    rng = np.random.default_rng(2)
    data = pairs(rng, 10_000)
    found = chain_estimate(Ratio(), [data[:5001], data[5001:]], "ratio")
    assert found.value == pytest.approx(data[:, 0].mean() / data[:, 1].mean(), rel=1e-14)
    assert found.error == pytest.approx(ratio_error(10_000), rel=0.1)
    drawn = rng.integers(len(data), size=(1000, len(data)))
    resampled = np.stack([data[rows].mean(0) for rows in drawn])
    assert found.error == pytest.approx((resampled[:, 0] / resampled[:, 1]).std(), rel=0.1)


def test_derived_errors_cover():
    """400 ensembles of 8 correlated replicas: the pulls of a ratio, two-sided p > 1e-5.

    a = 0.7 has tau_int = 2.8; N = 3,200.
    """
    rng = np.random.default_rng(3)
    pulls, taus = [], []
    for _ in range(400):
        noise = rng.normal(size=(8, 500, 2))
        noise = signal.lfilter([1.0], [1.0, -0.7], noise, axis=1)[:, 100:]
        found = chain_estimate(Ratio(), list(noise + np.array([2.0, 40.0])), "ratio")
        pulls.append((found.value - 0.05) / found.error)
        taus.append(found.tau_int)
    assert two_sided(pulls)
    assert np.mean(taus) == pytest.approx(1.7 / 0.6, rel=0.03)


def test_elements_that_do_not_exist(caplog):
    rng = np.random.default_rng(4)
    data = np.array([4.0, -4.0, 9.0]) + rng.normal(size=(500, 3))
    for found in (
        chain_estimate(Roots(), [data], "roots"),
        weighted_estimate(Roots(), data, np.zeros(500), 1, "roots"),
    ):
        assert math.isnan(found[1].value)
        assert math.isnan(found[1].error)
        assert [found[0].value, found[2].value] == pytest.approx([2, 3], rel=0.02)
        # d sqrt(a) = da / (2 sqrt(a))
        errors = [500**-0.5 / 4, 500**-0.5 / 6]
        assert [found[0].error, found[2].error] == pytest.approx(errors, rel=0.3)
    none = chain_estimate(Roots(), [-abs(data)], "roots")
    assert all(math.isnan(element.value) for element in none)
    assert caplog.text == ""


def test_a_vector_of_nothing():
    one_slice = np.ones((100, 1)) + np.random.default_rng(5).normal(size=(100, 1))
    assert chain_estimate(EffectiveMass(), [one_slice], "m") == []
    assert weighted_estimate(EffectiveMass(), one_slice, np.zeros(100), 1, "m") == []


def test_a_stuck_replica_of_a_derived_quantity(caplog):
    rng = np.random.default_rng(6)
    chains = [pairs(rng, 300), np.tile([2.0, 4.0 / 3], (300, 1))]
    assert math.isnan(chain_estimate(Ratio(), chains, "ratio").error)
    assert "ratio: replica 1 of 2 never moved" in caplog.text


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_chains_with_nan_are_refused(bad):
    data = np.ones((100, 2))
    data[7, 1] = bad
    with pytest.raises(ValueError, match="ratio: the chain holds NaN"):
        chain_estimate(Ratio(), [np.ones((10, 2)), data], "ratio")
    with pytest.raises(ValueError, match="ratio: a measurement is NaN"):
        weighted_estimate(Ratio(), data, np.zeros(100), 1, "ratio")


# weights


def reweighted(rng, n):
    """N(0, 1) as a proposal for exp(-(x - 0.5)^2 / (2 0.8^2)): x, log weight. ESS is 0.7.

    Z = 0.8 sqrt(2 pi); <x> = 0.5, <x^2> = 0.89.
    """
    x = rng.normal(size=n)
    log_q = -0.5 * x**2 - 0.5 * math.log(2 * math.pi)
    return x, -0.5 * ((x - 0.5) / 0.8) ** 2 - log_q


LOG_Z = math.log(0.8 * math.sqrt(2 * math.pi))


def test_weighted_errors_cover():
    """300 ensembles of 2,000: <x>, <x> / <x^2> and log Z; two-sided p > 1e-5 each.

    An error from 100 blocks is uncertain by 7 %, which widens the pulls by 1.5 %.
    """
    rng = np.random.default_rng(7)
    pulls = []
    for _ in range(300):
        x, log_w = reweighted(rng, 2000)
        mean = weighted_estimate(Plain(), x, log_w, 1, "x")
        ratio = weighted_estimate(Ratio(), np.stack([x, x * x], 1), log_w, 1, "ratio")
        z = log_z_estimate(log_w, 1)
        assert math.isnan(mean.tau_int)
        pulls.append(
            [
                (mean.value - 0.5) / mean.error,
                (ratio.value - 0.5 / 0.89) / ratio.error,
                (z.value - LOG_Z) / z.error,
            ]
        )
    assert all(two_sided(column) for column in np.transpose(pulls))


def test_populations_are_kept_together():
    """40 rows that are copies of one another are one measurement."""
    rng = np.random.default_rng(8)
    x, log_w = reweighted(rng, 1000)
    copies, weights = np.repeat(x, 40), np.repeat(log_w, 40)
    one = weighted_estimate(Plain(), x, log_w, 1, "x")
    assert weighted_estimate(Plain(), copies, weights, 40, "x") == pytest.approx(one, nan_ok=True)
    assert log_z_estimate(weights, 40) == pytest.approx(log_z_estimate(log_w, 1), abs=1e-12)
    split = weighted_estimate(Plain(), copies, weights, 1, "x")
    assert split.error < 1.3 * one.error  # 100 blocks of 400 rows are 10 whole populations


@pytest.mark.parametrize("rows", [1, 7, 99, 100, 250, 1999, 20_000, 20_001])
@pytest.mark.parametrize("population", [1, 3, 64])
def test_blocks(rows, population):
    starts = block_starts(rows, population)
    lengths = np.diff([*starts, rows])
    assert starts[0] == 0
    assert (starts % population == 0).all()
    assert len(starts) <= 200
    assert len(set(lengths[:-1])) <= 1
    assert (lengths > 0).all()
    if rows >= 100 * population:
        assert len(starts) >= 100


def test_equal_weights_are_no_weights():
    """One row a block: the error of the jackknife is that of a mean, exactly."""
    x = np.random.default_rng(9).normal(size=150)
    found = weighted_estimate(Plain(), x, np.full(150, -1e6), 1, "x")
    assert found.value == pytest.approx(x.mean(), rel=1e-12)
    assert found.error == pytest.approx(x.std(ddof=1) / math.sqrt(150), rel=1e-9)


def test_log_z_agrees_with_the_delta_method():
    """100 blocks know the error to 7 %; the bias is -var / 2 N of the weights relative to Z."""
    rng = np.random.default_rng(10)
    _, log_w = reweighted(rng, 50_000)
    found, (value, error) = log_z_estimate(log_w, 1), log_z(torch.from_numpy(log_w))
    assert found.value == pytest.approx(value, rel=1e-12)
    assert found.error == pytest.approx(error, rel=0.3)
    assert found.bias == pytest.approx(-(error**2) / 2, rel=0.6)
    shifted = log_z_estimate(log_w - 12345.0, 1)
    assert shifted.value == pytest.approx(value - 12345, rel=1e-12)
    assert shifted[1:] == pytest.approx(found[1:], rel=1e-6)


def test_weights_of_zero():
    """-inf is a weight: the row counts in log Z and nowhere else."""
    rng = np.random.default_rng(11)
    x, log_w = reweighted(rng, 1000)
    rows = np.repeat(np.arange(1000), 2)
    dead = np.where(np.arange(2000) % 2, -math.inf, log_w[rows])
    one = weighted_estimate(Plain(), x, log_w, 1, "x")
    assert weighted_estimate(Plain(), x[rows], dead, 2, "x") == pytest.approx(one, nan_ok=True)
    assert log_z_estimate(dead, 2).value == pytest.approx(
        log_z_estimate(log_w, 1).value - math.log(2)
    )


@pytest.mark.parametrize("bad", [[math.nan, 0.0], [math.inf, 0.0], [-math.inf] * 2])
def test_weights_that_are_none(bad):
    with pytest.raises(ValueError, match="x: log weights of maximum"):
        weighted_estimate(Plain(), np.ones(100), np.array(bad * 50), 1, "x")
    with pytest.raises(ValueError, match="log_z: log weights of maximum"):
        log_z_estimate(np.array(bad * 50), 1)


def test_it_warns_of_errors_that_mean_little(caplog):
    rng = np.random.default_rng(12)
    x = rng.normal(size=1000)
    one = weighted_estimate(Plain(), x, np.zeros(1000), 1000, "one")
    assert math.isnan(one.error)
    assert math.isnan(log_z_estimate(np.zeros(1000), 1000).error)
    few = weighted_estimate(Plain(), x, np.zeros(1000), 200, "few")
    assert few.error > 0
    steep = log_z_estimate(5 * x * x, 1)
    assert math.isfinite(steep.value)
    alone = np.full(1000, -1e4)
    alone[500] = 0.0  # without its block, there is no weight at all
    assert math.isnan(weighted_estimate(Plain(), x, alone, 1, "alone").error)
    assert math.isnan(log_z_estimate(alone, 1).error)
    ratio = weighted_estimate(Ratio(), np.stack([x**2, x], 1), np.zeros(1000), 1, "ratio")
    assert math.isfinite(ratio.value)
    assert "ratio: the bias of reweighting" in caplog.text


@pytest.mark.parametrize(("m2", "lam"), [(0.5, 0.3), (-0.5, 0.8)])
def test_the_transfer_matrix_by_reweighting(m2, lam):
    """The chain of 6 sites from exact Gaussian configurations: log Z, <phi^2>, C(t), m(t).

    The ESS is above 0.3. The largest of 12 pulls, p = 1e-5.
    """
    free, theory, lattice = Free(1.2), Phi4(m2, lam), Lattice([6])
    torch.manual_seed(13)
    scale = free.mode_variance(lattice).sqrt()
    white = torch.randn(40_000, 6, dtype=torch.float64)
    phi = torch.fft.ifft(torch.fft.fft(white) * scale).real
    log_w = (free(phi) + free.log_z(lattice) - theory(phi)).numpy()
    ensemble = Configurations(phi, theory)
    assert ess(torch.from_numpy(log_w)) > 0.3

    def found(observable):
        values = observable.measure(ensemble).numpy()
        return weighted_estimate(observable, values, log_w, 1, observable.symbol)

    exact_log_z, phi2 = chain(m2, lam, 6)
    correlator = chain_two_point(m2, lam, 6)
    masses = EffectiveMass().derive(torch.from_numpy(correlator)).tolist()
    estimates = [
        log_z_estimate(log_w, 1),
        found(Phi2()),
        *found(TwoPoint()),
        *found(EffectiveMass()),
    ]
    truth = [exact_log_z, phi2, *correlator[:4], *masses]
    pulls = [(e.value - t) / e.error for e, t in zip(estimates, truth, strict=True)]
    assert np.abs(pulls).max() < stats.norm.isf(P_VALUE / len(pulls) / 2)


class Spoiler(Plain):
    """(sqrt(a - b), a + b): backwards, a root that does not exist makes both gradients NaN."""

    def derive(self, means):
        return torch.stack([torch.sqrt(means[0] - means[1]), means.sum()])


def test_an_element_that_does_not_exist_leaves_the_gradients_of_others():
    assert np.array_equal(
        gradient(Spoiler(), np.array([1.0, 2.0])), [[np.nan, np.nan], [1, 1]], equal_nan=True
    )
    np.testing.assert_allclose(gradient(Spoiler(), np.array([5.0, 1.0])), [[1 / 4, -1 / 4], [1, 1]])
