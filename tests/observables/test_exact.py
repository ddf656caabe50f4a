"""Observables where they are known: the free theory in every d, the transfer matrix in d = 1."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from flowlat.actions import Free
from flowlat.analysis.estimates import chain_estimate
from flowlat.lattice import Lattice
from flowlat.observables import (
    AbsMagnetization,
    ActionDensity,
    Binder,
    Configurations,
    ConnectedSusceptibility,
    CorrelationLength,
    EffectiveMass,
    KineticDensity,
    Magnetization,
    Phi2,
    PotentialDensity,
    SchwingerDyson,
    Susceptibility,
    TwoPoint,
    TwoPointConnected,
)
from flowlat.observables.effective_mass import periodic_mass
from tests.support.transfer_matrix import chain_two_point, spectrum

SHAPES = [[7], [12], [4, 8], [5, 5], [3, 4, 6], [4, 4, 4], [2, 3, 4, 4]]
#: of the chi^2 below in any one case: 7 cases, 1e-4 in all
P_VALUE = 1e-4 / len(SHAPES)


def two_point(action, lattice):
    """(1/V) sum_k e^{ikt} / (2 (khat^2 + m2)) over the modes k along the last axis."""
    modes = action.mode_variance(lattice)[(0,) * (lattice.d - 1)]
    return torch.fft.ifft(modes, norm="forward").real / lattice.volume


def gaussian(action, lattice, n):
    """Exact configurations: white noise, every mode scaled to its variance."""
    white = torch.randn(n, *lattice.shape, dtype=torch.float64)
    axes = tuple(range(1, lattice.d + 1))
    scale = action.mode_variance(lattice).sqrt()
    return torch.fft.ifftn(torch.fft.fftn(white, dim=axes) * scale, dim=axes).real


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("m2", [0.09, 1.0])
def test_the_free_masses(shape, m2):
    """m(t) = 2 asinh(sqrt(m2) / 2), the pole of 1 / (khat^2 + m2), and xi = 1 / sqrt(m2)."""
    action, lattice = Free(m2), Lattice(shape)
    mass = EffectiveMass().derive(two_point(action, lattice))
    assert mass.tolist() == pytest.approx([2 * math.asinh(math.sqrt(m2) / 2)] * len(mass), rel=1e-9)
    khat2 = 4 * math.sin(math.pi / max(shape)) ** 2
    chi2, mode = 0.5 / m2, 0.5 / (khat2 + m2)
    means = torch.tensor([(chi2 - mode) / khat2, mode], dtype=torch.float64)
    assert CorrelationLength().derive(means).item() == pytest.approx(1 / math.sqrt(m2), rel=1e-12)


def expected(action, lattice):
    """Every observable of the Gaussian theory; M is Gaussian of variance 1 / (2 m2 V)."""
    m2, volume = action.m2, lattice.volume
    phi2 = action.propagator(lattice).flatten()[0].item()
    correlator = two_point(action, lattice)[: lattice.shape[-1] // 2 + 1].numpy()
    return {
        Magnetization(): 0.0,
        AbsMagnetization(): 1 / math.sqrt(math.pi * m2 * volume),
        Phi2(): phi2,
        Susceptibility(): 0.5 / m2,
        ConnectedSusceptibility(): (0.5 - 1 / math.pi) / m2,
        Binder(): 0.0,
        ActionDensity(): 0.5,
        KineticDensity(): 0.5 - m2 * phi2,
        PotentialDensity(): m2 * phi2,
        SchwingerDyson(): 1.0,
        CorrelationLength(): 1 / math.sqrt(m2),
        TwoPoint(): correlator,
        TwoPoint(all_axes=False): correlator,
        TwoPointConnected(): correlator - 1 / (math.pi * m2 * volume),
        EffectiveMass(): [2 * math.asinh(math.sqrt(m2) / 2)] * (lattice.shape[-1] // 2),
    }


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_exact_gaussian_configurations(shape):
    """The largest of all pulls, by Bonferroni: p = 1e-4 over all cases, whatever the correlations.

    20,000 independent configurations; the bias of the derived ones is 1/40,000 of their error
    squared and of no account.
    """
    action, lattice = Free(0.7), Lattice(shape)
    torch.manual_seed(3)
    ensemble = Configurations(gaussian(action, lattice, 20_000), action)
    pulls = []
    for observable, truth in expected(action, lattice).items():
        chain = observable.measure(ensemble).numpy()
        found = chain_estimate(observable, [chain], observable.symbol)
        found = found if isinstance(found, list) else [found]
        for estimate, value in zip(found, np.atleast_1d(truth), strict=True):
            assert estimate.tau_int == pytest.approx(0.5, abs=0.1)
            pulls.append((estimate.value - value) / estimate.error)
    threshold = stats.norm.isf(P_VALUE / len(pulls) / 2)
    assert np.abs(pulls).max() < threshold
    assert np.abs(pulls).max() > 0.5  # and they are errors, not bounds


@pytest.mark.parametrize(("m2", "lam"), [(1.0, 0.5), (-1.0, 1.5), (-4.0, 8.0)])
def test_the_gap_of_the_transfer_matrix(m2, lam):
    """At large T and t the effective mass is the gap log(T_0 / T_1); it decreases towards it."""
    _, values, _ = spectrum(m2, lam, 200)
    mass = periodic_mass(torch.from_numpy(chain_two_point(m2, lam, 40)))
    assert mass[12].item() == pytest.approx(math.log(values[-1] / values[-2]), rel=1e-6)
    assert (mass[:8].diff() < 1e-9).all()
