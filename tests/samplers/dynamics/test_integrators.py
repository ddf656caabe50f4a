"""Laws of the integrators: reversible, volume preserving, of second order."""

import math

import pytest
import torch

from flowlat.actions import Phi4
from flowlat.lattice import Lattice
from flowlat.samplers.dynamics.integrators import INTEGRATORS
from flowlat.samplers.dynamics.trajectory import Momenta
from tests.support.helpers import SHAPES

ACTION = Phi4(-4.0, 5.113)
NAMES = pytest.mark.parametrize("name", INTEGRATORS)
MASSES = pytest.mark.parametrize("mass2", [None, 0.7], ids=["plain", "fourier"])


def field(shape, n=16):
    generator = torch.Generator().manual_seed(3)
    return 0.5 * torch.randn((n, *shape), generator=generator, dtype=torch.float64)


@NAMES
@MASSES
@pytest.mark.parametrize("shape", [*SHAPES.values(), [5], [3, 5]])
def test_backwards_in_time(name, mass2, shape):
    """With the momenta turned round a trajectory runs back to where it came from."""
    momenta = Momenta(Lattice(shape), mass2)
    phi, pi = field(shape), momenta.draw(16, torch.Generator().manual_seed(4))
    kept = phi.clone(), pi.clone()
    run = INTEGRATORS[name]
    there, there_pi = run(phi, pi, ACTION.force, momenta.velocity, 0.1, 10)
    assert (there - phi).abs().mean() > 0.1
    back, back_pi = run(there, -there_pi, ACTION.force, momenta.velocity, 0.1, 10)
    torch.testing.assert_close(back, phi, rtol=0, atol=1e-10)
    torch.testing.assert_close(-back_pi, pi, rtol=0, atol=1e-10)
    assert torch.equal(phi, kept[0])
    assert torch.equal(pi, kept[1])


def energy_error(name, mass2, shape, step_size):
    """The root mean square of the change of H in a time of 1."""
    momenta = Momenta(Lattice(shape), mass2)
    phi, pi = field(shape, 64), momenta.draw(64, torch.Generator().manual_seed(5))
    new, new_pi = INTEGRATORS[name](
        phi, pi, ACTION.force, momenta.velocity, step_size, round(1 / step_size)
    )
    before = ACTION(phi) + momenta.energy(pi)
    after = ACTION(new) + momenta.energy(new_pi)
    return (after - before).square().mean().sqrt().item()


@NAMES
@MASSES
@pytest.mark.parametrize("shape", SHAPES.values())
def test_second_order(name, mass2, shape):
    """The error of H falls with the square of the step size."""
    coarse, fine = (energy_error(name, mass2, shape, step) for step in (0.02, 0.01))
    assert math.log2(coarse / fine) == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("shape", SHAPES.values())
def test_the_minimum_norm_is_smaller(shape):
    """Also at equal cost, where the leapfrog takes two steps for one."""
    leapfrog = energy_error("leapfrog", None, shape, 0.01)
    assert energy_error("minimum_norm", None, shape, 0.02) < leapfrog / 1.5


@NAMES
@MASSES
def test_the_volume_is_kept(name, mass2):
    """The Jacobian of (phi, pi) -> (phi', pi'), by central differences, has determinant 1."""
    momenta, h = Momenta(Lattice([2, 3]), mass2), 1e-6

    def trajectory(points):
        phi, pi = points.reshape(-1, 2, 2, 3).unbind(1)
        new = INTEGRATORS[name](phi, pi, ACTION.force, momenta.velocity, 0.2, 3)
        return torch.stack(new, 1).flatten(1)

    point = 0.5 * torch.randn(12, generator=torch.Generator().manual_seed(6)).double()
    shifts = h * torch.eye(12, dtype=torch.float64)
    jacobian = (trajectory(point + shifts) - trajectory(point - shifts)) / (2 * h)
    assert torch.linalg.slogdet(jacobian).logabsdet.abs() < 1e-6
    assert (jacobian - torch.eye(12)).abs().max() > 0.1
