import math

import pytest
import torch

from flowlat.actions import Free
from flowlat.lattice import Fourier, Lattice, shell_of
from flowlat.priors import FreeField
from tests.support.helpers import SHAPES

ODD_TOO = [*SHAPES.values(), [5], [2, 3], [25]]


def smooth_prior(shape, **options):
    """A prior whose spectrum is not that of any mass."""
    prior = FreeField(Lattice(shape), mass2=0.4, **options).double()
    with torch.no_grad():
        prior.spectrum.coefficients.uniform_(-0.3, 0.3, generator=torch.Generator().manual_seed(1))
    return prior


@pytest.mark.parametrize("shape", ODD_TOO)
def test_it_starts_as_the_free_theory(shape):
    """log r = -S - log Z of the free action of the same mass, to the rounding of float32."""
    lattice = Lattice(shape)
    prior, action = FreeField(lattice, mass2=0.7).double(), Free(0.7)
    z, log_r = prior(prior.noise(5))
    torch.testing.assert_close(log_r, -action(z) - action.log_z(lattice), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("shape", ODD_TOO)
def test_log_det_is_that_of_the_jacobian(shape):
    prior = smooth_prior(shape, shift=0.3)
    n = prior.lattice.volume
    noise = torch.randn(1, *shape, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: prior(x)[0], noise).reshape(n, n)
    log_standard = -0.5 * (noise**2).sum() - 0.5 * n * math.log(2 * math.pi)
    expected = log_standard - torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(prior(noise)[1][0], expected)


@pytest.mark.parametrize("shape", [*SHAPES.values(), [25]])
def test_modes_have_the_variances_of_the_spectrum(shape):
    """< |z_k|^2 > = a(k)^2, summed over each shell of khat^2, six sigma (p = 2e-9) each."""
    prior, n = smooth_prior(shape), 20_000
    with torch.no_grad():
        z, _ = prior(prior.noise(n, torch.Generator().manual_seed(2)))
    fourier = Fourier(prior.lattice)
    a2 = (2 * prior.log_amplitude()).exp().detach()[shell_of(fourier.khat2, prior.lattice.shape)]
    assert a2.max() / a2.min() > 1.5
    for shell in fourier.khat2.round(decimals=6).unique():
        inside = (fourier.khat2 - shell).abs().lt(1e-5).double()
        modes = fourier.sum_modes(inside)
        squares = fourier.filter(z, inside / a2.sqrt()).square().flatten(1).sum(1)
        assert (squares.mean() / modes - 1).abs() < 6 * (2 / (n * modes)).sqrt()


def test_shift_is_the_mean():
    """Within five sigma of the mean over sites and draws, p = 6e-7."""
    prior = smooth_prior([4, 4], shift=-0.7)
    with torch.no_grad():
        z, _ = prior(prior.noise(4000, torch.Generator().manual_seed(1)))
    means = z.flatten(1).mean(1)
    assert abs(means.mean() + 0.7) < 5 * means.std() / len(means) ** 0.5


def test_parameters_transfer_to_a_larger_lattice():
    """A field with the period of the small lattice stays one on the large lattice."""
    small, large = smooth_prior([4, 4]), FreeField(Lattice([8, 32]), mass2=3.0).double()
    large.load_state_dict(small.state_dict())
    noise = small.noise(2)
    found, _ = large(noise.repeat(1, 2, 8))
    torch.testing.assert_close(found, small(noise)[0].repeat(1, 2, 8), rtol=0, atol=1e-6)
