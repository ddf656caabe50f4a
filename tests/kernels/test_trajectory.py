"""The compiled trajectory of phi^4 against the integrators in PyTorch, which are its oracle."""

import math

import pytest
import torch

from flowlat.actions import Free, Phi4, as_phi4
from flowlat.kernels import available_kernels, first_use
from flowlat.kernels.phi4.trajectory import trajectory
from flowlat.lattice import Lattice, batch_fastest
from flowlat.samplers import HMC
from flowlat.samplers.dynamics import trajectory as of_samplers
from flowlat.samplers.dynamics.integrators import INTEGRATORS
from flowlat.samplers.dynamics.trajectory import Trajectory
from tests.support.helpers import SHAPES

pytestmark = pytest.mark.skipif(
    "cpu" not in available_kernels(), reason="no C++ compiler on this machine"
)
ACTION = Phi4(-4.0, 5.113)
NAMES = pytest.mark.parametrize("name", INTEGRATORS)


def start(shape, n=13, seed=1):
    """phi and pi; 13: a tile that is not full, whatever the vectors of the machine."""
    generator = torch.Generator().manual_seed(seed)
    phi, pi = torch.randn(2, n, *shape, generator=generator, dtype=torch.float64)
    return 0.5 * phi, pi


def run(name, phi, pi, step_size, n_steps, action=ACTION):
    method = INTEGRATORS[name]
    return trajectory(phi, pi, action.m2, action.lam, *method, step_size, n_steps)


@NAMES
@pytest.mark.parametrize("shape", [*SHAPES.values(), [1], [2], [5], [1, 3], [3, 1, 2], [2] * 5])
@pytest.mark.parametrize("n", [1, 13, 16])
def test_the_same_trajectory_to_rounding(name, shape, n):
    phi, pi = start(shape, n)
    kept = phi.clone(), pi.clone()
    for layout in (torch.Tensor.contiguous, batch_fastest):
        found = run(name, layout(phi), layout(pi), 0.05, 7)
        new, new_pi = INTEGRATORS[name](phi, pi, ACTION.force, lambda pi: pi, 0.05, 7)
        assert (new - phi).abs().mean() > 0.05
        torch.testing.assert_close(found.phi, new, rtol=0, atol=1e-12)
        torch.testing.assert_close(found.action, ACTION(new), rtol=1e-12, atol=1e-11)
        change = (new_pi**2 - pi**2).flatten(1).sum(1) / 2
        torch.testing.assert_close(found.kinetic, change, rtol=1e-10, atol=1e-10)
    assert torch.equal(phi, kept[0])
    assert torch.equal(pi, kept[1])


@NAMES
@pytest.mark.parametrize("shape", SHAPES.values())
def test_second_order(name, shape):
    phi, pi = start(shape, 64)

    def error(step_size):
        end = run(name, phi, pi, step_size, round(1 / step_size))
        return (end.action - ACTION(phi) + end.kinetic).square().mean().sqrt().item()

    assert math.log2(error(0.02) / error(0.01)) == pytest.approx(2, abs=0.05)


@NAMES
def test_a_step_back_leads_back(name):
    """With the momenta of the oracle, whose trajectory it is, turned round."""
    phi, pi = start([4, 6])
    there = run(name, phi, pi, 0.1, 5)
    _, new_pi = INTEGRATORS[name](phi, pi, ACTION.force, lambda pi: pi, 0.1, 5)
    back = run(name, there.phi, -new_pi, 0.1, 5)
    torch.testing.assert_close(back.phi, phi, rtol=0, atol=1e-12)
    assert (there.phi - phi).abs().max() > 0.1


def test_two_threads_compute_the_same():
    shape, n = [4, 4, 4, 4], 64
    phi, pi = start(shape, n)
    one = run("leapfrog", phi, pi, 0.05, 40)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        two = run("leapfrog", phi, pi, 0.05, 40)
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, one, two))


def test_the_sampler_uses_it_where_it_can(monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return trajectory(*arguments)

    monkeypatch.setattr(of_samplers, "trajectory", counted)

    class Other(Phi4):
        def force(self, phi):
            return super().force(phi)

    assert as_phi4(Free(1.0)) is not None
    assert as_phi4(Other(-4.0, 5.113)) is None
    phi, _ = start([4, 4])
    results = []
    for action, mass2 in [(ACTION, None), (Other(-4.0, 5.113), None), (ACTION, 0.5)]:
        before = len(calls)
        proposal = Trajectory(Lattice([4, 4]), "minimum_norm", mass2).propose(
            phi, action, 0.1, 4, torch.Generator().manual_seed(1)
        )
        results.append((proposal, len(calls) > before))
    assert [used for _, used in results] == [True, False, False]
    for fused, plain in zip(results[0][0], results[1][0], strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-11, atol=1e-11)


def test_a_wrong_kernel_is_found_and_not_used(monkeypatch, caplog):
    def wrong(*arguments):
        phi, action, kinetic = trajectory(*arguments)
        return phi, action + 1, kinetic

    monkeypatch.setattr(of_samplers, "trajectory", wrong)
    for name in ("_faults", "_sound", "_said"):
        monkeypatch.setattr(first_use, name, type(getattr(first_use, name))())
    sampler = HMC(Lattice([4, 4]), ACTION, 8, thermalization=5, block=2)
    state = sampler.start(torch.Generator().manual_seed(1))
    _, block = sampler.step(state, torch.Generator().manual_seed(2))
    torch.testing.assert_close(block.action, ACTION(block.phi))
    assert "trajectory on cpu, float64: output 1 differs from PyTorch's" in caplog.text
