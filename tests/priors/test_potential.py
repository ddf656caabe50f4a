import math

import pytest
import torch

from flowlat.lattice import Lattice
from flowlat.priors import SingleSitePotential


def exact_cdf(m2, lam, reach=6.0):
    """Distribution function on a grid and log of the norm, by trapezoids."""
    grid = torch.linspace(-reach, reach, 400_001, dtype=torch.float64)
    weight = torch.exp(-m2 * grid**2 - lam * grid**4)
    cdf = torch.cumulative_trapezoid(weight, grid)
    return grid[1:], cdf / cdf[-1], math.log(cdf[-1])


@pytest.mark.parametrize(
    ("m2", "lam"), [(-4.0, 2.0), (-4.0, 8.0), (1.0, 0.5), (2.0, 0.0), (-40.0, 6.0)]
)
def test_draws_follow_the_potential(m2, lam):
    """Kolmogorov-Smirnov on 100,000 sites; p = 2 exp(-2 * 2.8^2) = 3e-7."""
    prior = SingleSitePotential(Lattice([10, 10]), m2, lam).double()
    z, _ = prior(prior.noise(1000, torch.Generator().manual_seed(1)))
    grid, cdf, log_norm = exact_cdf(m2, lam)
    ordered = z.flatten().sort().values
    expected = cdf[torch.searchsorted(grid, ordered).clamp_max(len(cdf) - 1)]
    found = torch.arange(1, len(ordered) + 1, dtype=torch.float64) / len(ordered)
    assert (expected - found).abs().max() * len(ordered) ** 0.5 < 2.8
    assert prior.log_norm == pytest.approx(log_norm, abs=1e-9)


def test_inversion_is_exact():
    """The Gaussian case, whose distribution function is known, into the far tails."""
    prior = SingleSitePotential(Lattice([2]), m2=1.0, lam=0.0).double()
    u = torch.tensor([0.0, 1e-12, 1e-6, 0.001, 0.3, 0.5, 0.9, 1 - 1e-9], dtype=torch.float64)
    z, _ = prior(u.reshape(-1, 2))
    assert torch.isfinite(z).all()
    torch.testing.assert_close(0.5 * torch.erfc(-z.flatten()), u, rtol=1e-6, atol=1e-13)


@pytest.mark.parametrize(("m2", "lam"), [(-1.0, 0.0), (0.0, 0.0), (1.0, -1.0)])
def test_a_potential_that_does_not_confine_is_refused(m2, lam):
    with pytest.raises(ValueError, match=f"m2={m2}, lam={lam}.*does not confine"):
        SingleSitePotential(Lattice([4]), m2, lam)


@pytest.mark.parametrize(("m2", "lam"), [(-40.0, 6.0), (-2e4, 1e4), (-2e8, 1e6)])
def test_deep_wells_are_two_gaussians(m2, lam):
    """Of variance 1 / (4 abs(m2)) about +-v, to first order in the inverse of the barrier: log of
    the norm, <z^2> - v^2 = -1 / (4 lam v^2), and both wells (five sigma of a coin, p = 6e-7)."""
    prior = SingleSitePotential(Lattice([100]), m2, lam).double()
    v2, barrier = -m2 / (2 * lam), m2**2 / (4 * lam)
    gaussian = barrier + math.log(2) + 0.5 * math.log(math.pi / (2 * -m2))
    assert prior.log_norm - gaussian == pytest.approx(0, abs=1 / barrier + 1e-14 * barrier)
    z, log_r = prior(prior.noise(1000, torch.Generator().manual_seed(1)))
    assert z.sign().mean().abs() < 5 * 1e5**-0.5
    depth = (-(m2 * z**2 + lam * z**4) - prior.log_norm).sum(1)
    torch.testing.assert_close(log_r, depth, rtol=0, atol=1e-12 * barrier)
    width = (z.abs() - v2**0.5).std() * (4 * -m2) ** 0.5
    # known to 1 / sqrt(2 n), and off by the anharmonic terms
    assert width == pytest.approx(1, abs=5 * 2e5**-0.5 + 1 / barrier)


def test_wells_beyond_all_numbers_are_refused():
    with pytest.raises(ValueError, match=r"m2=-1e\+200, lam=1\.0: beyond the range"):
        SingleSitePotential(Lattice([4]), -1e200, 1.0)
