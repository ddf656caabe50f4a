"""The cluster sampler against what is known exactly. Errors come from independent replicas."""

import pytest
import torch

from flowlat.actions import Free, Phi4
from flowlat.lattice import Lattice
from flowlat.samplers import Cluster
from flowlat.samplers.cluster import slope
from flowlat.utils.errors import ConfigError
from tests.samplers.chains import assert_means, assert_reproducible, sample, seeded
from tests.support.helpers import SHAPES
from tests.support.tilted import Tilted
from tests.support.transfer_matrix import chain


@pytest.mark.parametrize("shape", [*SHAPES.values(), [5], [3, 5], [1], [1, 4]], ids=str)
def test_the_free_theory_mode_by_mode(shape):
    lattice, action = Lattice(shape), Free(0.7)
    phi, _ = sample(Cluster(lattice, action, replicas=256, thermalization=60, block=40), 1)
    spectrum = torch.fft.fftn(phi, dim=tuple(range(2, phi.dim())), norm="ortho").abs() ** 2
    assert_means(spectrum / action.mode_variance(lattice), 1.0)


@pytest.mark.parametrize("sweeps", [(1, 0), (1, 1), (2, 3)], ids=str)
@pytest.mark.parametrize(("m2", "lam"), [(1.0, 0.5), (-1.0, 1.5)])
def test_the_interacting_chain_is_that_of_the_transfer_matrix(m2, lam, sweeps):
    lattice = Lattice([6])
    sampler = Cluster(lattice, Phi4(m2, lam), 512, *sweeps, thermalization=60, block=50)
    phi, _ = sample(sampler, 1)
    assert_means((phi**2).mean(2), chain(m2, lam, length=6)[1])


@pytest.mark.parametrize("shape", SHAPES.values(), ids=str)
def test_schwinger_dyson(shape):
    """< phi(x) dS/dphi(y) > = delta_xy at y = x and, for two sites that differ, x + mu."""
    action = Phi4(-4.0, 5.113)
    phi, _ = sample(Cluster(Lattice(shape), action, replicas=256, thermalization=100, block=40), 1)
    slopes = -action.force(phi.flatten(0, 1)).reshape(phi.shape)
    assert_means((phi * slopes).flatten(2).mean(2), 1.0)
    assert_means((phi * slopes.roll(1, 2 + shape.index(max(shape)))).flatten(2).mean(2), 0.0)


@pytest.mark.parametrize(
    ("side", "lam", "magnetization", "chi2"),
    [(8, 8.0, (0.08717, 16e-5), (0.7473, 0.0025)), (6, 6.975, (0.14121, 28e-5), (1.0594, 0.0035))],
)
def test_published_values(side, lam, magnetization, chi2):
    """In d = 2 at m2 = -4, five sigma of both errors together (p = 6e-7 a number)."""
    phi, _ = sample(Cluster(Lattice([side] * 2), Phi4(-4.0, lam), replicas=128, block=160), 1)
    m = phi.flatten(2).mean(2)
    for values, (known, error) in ((m.abs(), magnetization), (side**2 * m**2, chi2)):
        means = values.mean(0)
        own = means.std() / len(means) ** 0.5
        assert own < 0.02 * known
        assert (means.mean() - known).abs() < 5 * (own**2 + error**2) ** 0.5


def test_both_modes_of_an_ordered_phase_are_seen():
    sampler = Cluster(Lattice([4, 4]), Phi4(-8.0, 2.0), 64, thermalization=20, block=30)
    phi, _ = sample(sampler, 1)
    signs = phi.flatten(2).mean(2).sign()
    changes = (signs[1:] != signs[:-1]).double().mean().item()
    assert changes == pytest.approx(0.5, abs=0.06)


def test_what_is_tuned():
    """The width, to an acceptance; and r, to the mean of phi given its neighbours: a regression."""
    action = Phi4(-4.0, 4.572)
    sampler = Cluster(Lattice([8, 8]), action, 64, target_acceptance=0.4, block=40)
    phi, state = sample(sampler, 1)
    info = sampler.info(state)
    assert info["acceptance"] == pytest.approx(0.4, abs=0.02)
    phi = phi.flatten(0, 1)
    b = 2 * sum(phi.roll(step, axis) for axis in (1, 2) for step in (1, -1))
    expected = (2 * (phi * b).sum() / (b * b).sum()).item()
    assert info["reflection"] == pytest.approx(expected, rel=0.03)
    assert slope(torch.zeros(2)) == 0.0


def test_a_block_is_a_function_of_state_and_generator():
    assert_reproducible(Cluster(Lattice([4, 3]), Phi4(-4.0, 5.113), 8, thermalization=20))


def test_a_state_from_a_file_goes_on_bit_for_bit():
    sampler = Cluster(Lattice([4, 3]), Phi4(-4.0, 5.113), 8, thermalization=20)
    state, _ = sampler.step(sampler.start(seeded(1)), seeded(2))
    tensors = {k: torch.from_numpy(v.numpy().copy(order="C")) for k, v in state._asdict().items()}
    read = type(sampler.initial_state())(**tensors)
    expected, found = sampler.step(state, seeded(3))[1], sampler.step(read, seeded(3))[1]
    assert torch.equal(found.phi, expected.phi)
    assert torch.equal(found.action, expected.action)


def test_the_layout_of_a_block():
    action = Phi4(-4.0, 5.113)
    sampler = Cluster(Lattice([4, 4]), action, 8, thermalization=20, block=5, thin=2)
    state, block = sampler.step(sampler.start(seeded(1)), seeded(2))
    assert len(block.phi) == sampler.rows == 40
    assert block.phi.dtype == block.action.dtype == torch.float64
    assert block.log_weight is None
    assert block.accepted.all()
    torch.testing.assert_close(block.action, action(block.phi))
    assert torch.equal(block.phi[-8:], state.phi)
    assert int(state.updates) == 10


@pytest.mark.parametrize("other", ["odd", "own force"])
def test_another_action_is_one_clear_line(other):
    class Own(Phi4):
        def force(self, phi):
            return 2 * super().force(phi)

    action = Tilted(-1.0, 1.5, 0.5) if other == "odd" else Own(-1.0, 1.5)
    with pytest.raises(ConfigError, match=r"sampler=cluster: .* not of (Tilted|Own); sampler=hmc"):
        Cluster(Lattice([4, 4]), action)
