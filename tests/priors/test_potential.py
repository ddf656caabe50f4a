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


@pytest.mark.parametrize(("m2", "lam"), [(-4.0, 2.0), (-4.0, 8.0), (1.0, 0.5), (2.0, 0.0)])
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
