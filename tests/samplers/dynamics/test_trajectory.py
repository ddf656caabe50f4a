import math

import pytest
import torch

from flowlat.actions import Free
from flowlat.lattice import Lattice
from flowlat.samplers.dynamics.integrators import minimum_norm
from flowlat.samplers.dynamics.trajectory import Momenta
from tests.support.helpers import SHAPES

SHAPES_TOO = [*SHAPES.values(), [5], [3, 5], [1]]
MASS2 = 0.7


def modes(x):
    """The unitary Fourier transform."""
    return torch.fft.fftn(x, dim=tuple(range(1, x.dim())), norm="ortho")


@pytest.mark.parametrize("shape", SHAPES_TOO)
def test_kinetic_energy_is_its_definition(shape):
    lattice = Lattice(shape)
    pi = torch.randn(3, *shape, dtype=torch.float64)
    spectrum = modes(pi).abs() ** 2 / (2 * 2 * (lattice.khat2() + MASS2))
    torch.testing.assert_close(Momenta(lattice, MASS2).energy(pi), spectrum.flatten(1).sum(1))
    torch.testing.assert_close(Momenta(lattice).energy(pi), (pi**2).flatten(1).sum(1) / 2)


@pytest.mark.parametrize("mass2", [None, MASS2])
def test_velocity_is_the_gradient_of_the_kinetic_energy(mass2):
    momenta = Momenta(Lattice([3, 4]), mass2)
    pi = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(momenta.energy(pi).sum(), pi)
    torch.testing.assert_close(momenta.velocity(pi.detach()), gradient)


@pytest.mark.parametrize("mass2", [None, MASS2])
@pytest.mark.parametrize("shape", SHAPES_TOO)
def test_momenta_have_the_weight_of_their_energy(shape, mass2):
    """<|pi_k|^2> = m_k in every mode, within five sigma (p = 6e-7 a mode)."""
    lattice, n = Lattice(shape), 20_000
    masses = torch.ones(shape) if mass2 is None else 2 * (lattice.khat2() + mass2)
    pi = Momenta(lattice, mass2).draw(n, torch.Generator().manual_seed(1))
    ratio = modes(pi).abs() ** 2 / masses
    error = ratio.std(0) / n**0.5
    assert ((ratio.mean(0) - 1).abs() < 5 * error).all()
    assert error.max() < 0.02


@pytest.mark.parametrize("shape", SHAPES_TOO)
def test_all_free_modes_have_one_frequency(shape):
    """With the theory's own mass: after a quarter of the period 2 pi, phi is M^-1 pi."""
    lattice = Lattice(shape)
    momenta, action = Momenta(lattice, MASS2), Free(MASS2)
    phi = torch.randn(2, *shape, dtype=torch.float64)
    pi = momenta.draw(2, torch.Generator().manual_seed(2))
    n_steps = 500
    new, _ = minimum_norm(phi, pi, action.force, momenta.velocity, math.pi / 2 / n_steps, n_steps)
    torch.testing.assert_close(new, momenta.velocity(pi), rtol=0, atol=1e-6)
