"""Laws of the isokinetic dynamics: reversible, of known Jacobian, of second order."""

import itertools
import math

import pytest
import torch

from flowlat.actions import Phi4
from flowlat.lattice import Lattice
from flowlat.samplers import HMC
from flowlat.samplers.dynamics.integrators import INTEGRATORS
from flowlat.samplers.mclmc.isokinetic import Isokinetic, normalise
from tests.samplers.chains import seeded
from tests.support.helpers import SHAPES

ACTION = Phi4(-4.0, 5.113)
NAMES = pytest.mark.parametrize("name", INTEGRATORS)


def setup(shape, name="minimum_norm", n=16):
    """The dynamics, a field and directions."""
    dynamics = Isokinetic(Lattice(shape), name, 1.0)
    phi = 0.5 * torch.randn((n, *shape), generator=seeded(3), dtype=torch.float64)
    return dynamics, phi, dynamics.direction(n, seeded(4))


def run(dynamics, phi, u, step_size, n_steps):
    """(phi, u, sum of (n - 1) log r) after steps without noise."""
    phi, u, total = phi.clone(), u.clone(), 0.0
    force = ACTION.force(phi)
    for _ in range(n_steps):
        force, change = dynamics.step(phi, u, force, ACTION.force, step_size)
        total = total + change
    return phi, u, total


def kicked(dynamics, u, force, time):
    u = u.clone()
    return u, dynamics.kick(u, force, time)


def inner(a, b):
    return (a * b).flatten(1).sum(1)


@pytest.mark.parametrize("shape", [*SHAPES.values(), [2], [3, 5]])
def test_a_kick_solves_its_equation(shape):
    """At first along sqrt(n) / (n - 1) (f - u (u f)); and one kick after another is one of both."""
    dynamics, phi, u = setup(shape)
    force, n, h = ACTION.force(phi), dynamics.n, 1e-6
    there, back = (kicked(dynamics, u, force, sign * h)[0] for sign in (1, -1))
    along = inner(u, force).reshape(-1, *[1] * len(shape))
    expected = math.sqrt(n) / (n - 1) * (force - u * along)
    torch.testing.assert_close((there - back) / (2 * h), expected, rtol=1e-6, atol=1e-7)
    half, first = kicked(dynamics, u, force, 0.3)
    end, second = kicked(dynamics, half, force, 0.4)
    whole, both = kicked(dynamics, u, force, 0.7)
    torch.testing.assert_close(end, whole)
    torch.testing.assert_close(first + second, both)
    assert (whole - u).norm() > 0.1
    torch.testing.assert_close(inner(whole, whole), torch.ones(len(u)).double())


def test_a_kick_without_force_or_with_a_huge_one():
    dynamics, _, u = setup([4, 4])
    same, change = kicked(dynamics, u, torch.zeros_like(u), 1.0)
    torch.testing.assert_close(same, u)
    assert change.abs().max() < 1e-300
    force = torch.randn(u.shape, generator=seeded(5), dtype=torch.float64)
    end, change = kicked(dynamics, u, 1e6 * force, 1.0)
    torch.testing.assert_close(end, normalise(force.clone()))
    assert change.isfinite().all()


@NAMES
@pytest.mark.parametrize("shape", [*SHAPES.values(), [2], [3, 5]])
def test_backwards_in_time(name, shape):
    """With u turned round a trajectory runs back, and the energy with it."""
    dynamics, phi, u = setup(shape, name)
    there, u_there, total = run(dynamics, phi, u, 0.1, 10)
    assert (there - phi).abs().mean() > 0.1
    back, u_back, total_back = run(dynamics, there, -u_there, 0.1, 10)
    for found, expected in ((back, phi), (-u_back, u), (total_back, -total)):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)


@NAMES
def test_the_jacobian_is_that_of_the_test(name):
    """log|det d(phi', u') / d(phi, u)| = -sum, by central differences.

    u -> |u| u' of all space has the determinant of the map of the sphere at |u| = 1.
    """
    dynamics, phi, u = setup([2, 3], name, 1)
    h, total = 1e-5, run(dynamics, phi, u, 0.2, 3)[2]

    def ends(points):
        field, direction = points.reshape(-1, 2, 2, 3).unbind(1)
        size = direction.flatten(1).norm(dim=1).reshape(-1, 1, 1)
        field, direction, _ = run(dynamics, field, direction / size, 0.2, 3)
        return torch.stack([field, size * direction], 1).flatten(1)

    point = torch.stack([phi[0], u[0]]).flatten()
    shifts = h * torch.eye(12, dtype=torch.float64)
    jacobian = (ends(point + shifts) - ends(point - shifts)) / (2 * h)
    log_det = torch.linalg.slogdet(jacobian).logabsdet
    assert total.abs() > 0.1
    torch.testing.assert_close(log_det, -total[0], rtol=0, atol=1e-6)


@NAMES
@pytest.mark.parametrize("shape", SHAPES.values())
def test_second_order(name, shape):
    """The error of S + sum falls with the square of the step size, at a time of 1."""
    dynamics, phi, u = setup(shape, name, 64)
    errors = []
    for n_steps in (50, 100, 200):
        end, _, total = run(dynamics, phi, u, 1 / n_steps, n_steps)
        errors.append((ACTION(end) - ACTION(phi) + total).square().mean().sqrt().item())
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert orders == pytest.approx([2, 2], abs=0.1)


@pytest.mark.parametrize("decoherence", [0.3, 1.0])
@NAMES
def test_detailed_balance(name, decoherence):
    """As many accepted steps up as down, of trajectories with noise from equilibrium, which HMC
    makes: exp(-change) P(change) = P(-change). Bounded, unlike <exp(-change)> = 1, of which single
    replicas are worth a tenth. Replicas are independent: five sigma, p = 6e-7."""
    lattice, n = Lattice([4, 4]), 4096
    state = HMC(lattice, ACTION, n, thermalization=60).start(seeded(1))
    dynamics = Isokinetic(lattice, name, decoherence)
    end = dynamics.propose(state.phi, ACTION, 0.2, 4, seeded(2))
    change = end.action - state.action + end.kinetic
    assert change.std() > 0.1  # there is something to balance
    for energy, balanced in [(change, True), (end.action - state.action, False)]:
        up_less_down = torch.where(energy > 0, (-energy).exp(), -1.0)
        error = up_less_down.std() / n**0.5
        assert (up_less_down.mean().abs() < 5 * error) == balanced
    torch.testing.assert_close(end.action, ACTION(end.phi))


@pytest.mark.parametrize("decoherence", [0.5, 2.0])
def test_noise_turns_the_direction_away(decoherence):
    """Without a force u after a trajectory of time l: <u u'> = exp(-1 / decoherence) in many
    dimensions, but for the last step, which no noise follows."""

    class Flat(Phi4):
        def force(self, phi):
            return torch.zeros_like(phi)

    lattice, n_steps = Lattice([32, 32]), 50
    dynamics = Isokinetic(lattice, "leapfrog", decoherence)
    start = dynamics.direction(8, seeded(1))
    flat, phi = Flat(1.0, 0.0), torch.zeros(8, 32, 32, dtype=torch.float64)
    moved = dynamics.propose(phi, flat, 0.02, n_steps, seeded(1)).phi / 0.02 / 32
    rate = 1 / (decoherence * n_steps)
    expected = (1 - math.exp(-rate * n_steps)) / (1 - math.exp(-rate))
    torch.testing.assert_close(inner(moved, start).mean().item(), expected, rtol=0.05, atol=0)
