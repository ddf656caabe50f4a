import math

import pytest
import torch

from flowlat.actions import Free
from flowlat.lattice import Lattice
from flowlat.priors import FreeField, SingleSitePotential
from tests.helpers import SHAPES


@pytest.mark.parametrize("shape", SHAPES.values())
def test_free_field_prior_is_the_free_theory(shape):
    """At its start the density is exp(-S) / Z of the free action with the same mass."""
    lattice = Lattice(shape)
    prior, action = FreeField(lattice, mass2=0.7).double(), Free(0.7)
    z, log_r = prior(prior.noise(5))
    expected = -action(z) - action.log_z(lattice)
    torch.testing.assert_close(log_r, expected, rtol=1e-6, atol=1e-5)  # khat^2 in float32


@pytest.mark.parametrize("shape", SHAPES.values())
def test_free_field_log_det_is_the_jacobian(shape):
    prior = FreeField(Lattice(shape), mass2=0.4, shift=0.3).double()
    torch.nn.init.uniform_(prior.coefficients, -0.5, 0.5)
    n = prior.lattice.volume
    noise = torch.randn(1, *shape, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: prior(x)[0], noise).reshape(n, n)
    log_standard = -0.5 * (noise**2).sum() - 0.5 * n * math.log(2 * math.pi)
    expected = log_standard - torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(prior(noise)[1][0], expected)


def test_single_site_potential_follows_its_density():
    """Kolmogorov-Smirnov against an independent quadrature; p = 2 exp(-2 * 3.8^2) = 6e-13."""
    prior = SingleSitePotential(Lattice([10, 10]), m2=-4.0, lam=2.0).double()
    z, _ = prior(prior.noise(1000, torch.Generator().manual_seed(1)))
    grid = torch.linspace(-4, 4, 200_001, dtype=torch.float64)
    density = torch.exp(4 * grid**2 - 2 * grid**4)
    cdf = torch.cumulative_trapezoid(density, grid)
    norm = cdf[-1].item()
    ordered = z.flatten().sort().values
    expected = cdf[torch.searchsorted(grid[1:], ordered).clamp_max(len(cdf) - 1)] / norm
    found = torch.arange(1, len(ordered) + 1, dtype=torch.float64) / len(ordered)
    assert (expected - found).abs().max() * len(ordered) ** 0.5 < 3.8
    assert prior.log_norm == pytest.approx(math.log(norm), abs=1e-9)


def test_single_site_quantile_is_exact():
    prior = SingleSitePotential(Lattice([2]), m2=1.0, lam=0.0).double()  # Gaussian: erf is known
    u = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    z = prior._quantile(u)
    torch.testing.assert_close(0.5 * (1 + torch.erf(z)), u, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FreeField(Lattice([4]), mass2=0.0), "mass2=0.0"),
        (lambda: FreeField(Lattice([4]), n_coefficients=-1), "n_coefficients=-1"),
        (lambda: SingleSitePotential(Lattice([4]), m2=-1, lam=0), "does not confine"),
    ],
)
def test_bad_priors(build, message):
    with pytest.raises(ValueError, match=message):
        build()
