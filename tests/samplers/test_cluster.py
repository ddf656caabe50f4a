"""The cluster sampler against what is known exactly. Errors come from independent replicas."""

import pytest
import torch

from flowlat.actions import Free, Phi4
from flowlat.analysis.exact import known
from flowlat.lattice import Lattice
from flowlat.observables import (
    Configurations,
    CorrelationLength,
    SignAverages,
    Susceptibility,
    TwoPoint,
)
from flowlat.samplers import Cluster
from flowlat.samplers.cluster import slope
from flowlat.utils.errors import ConfigError
from tests.samplers.chains import assert_means, assert_reproducible, sample, seeded
from tests.support.helpers import SHAPES
from tests.support.tilted import Tilted
from tests.support.transfer_matrix import chain

EACH = pytest.mark.parametrize("clusters", ["swendsen_wang", "wolff"])


@EACH
@pytest.mark.parametrize("shape", [*SHAPES.values(), [5], [3, 5], [1], [1, 4]], ids=str)
def test_the_free_theory_mode_by_mode(shape, clusters):
    lattice, action = Lattice(shape), Free(0.7)
    sampler = Cluster(lattice, action, 256, clusters=clusters, thermalization=60, block=40)
    phi, _ = sample(sampler, 1)
    spectrum = torch.fft.fftn(phi, dim=tuple(range(2, phi.dim())), norm="ortho").abs() ** 2
    assert_means(spectrum / action.mode_variance(lattice), 1.0)


@EACH
@pytest.mark.parametrize("sweeps", [(1, 0), (1, 1), (2, 3)], ids=str)
@pytest.mark.parametrize(("m2", "lam"), [(1.0, 0.5), (-1.0, 1.5)])
def test_the_interacting_chain_is_that_of_the_transfer_matrix(m2, lam, sweeps, clusters):
    lattice = Lattice([6])
    sampler = Cluster(lattice, Phi4(m2, lam), 512, *sweeps, clusters, thermalization=60, block=50)
    phi, _ = sample(sampler, 1)
    assert_means((phi**2).mean(2), chain(m2, lam, length=6)[1])


@EACH
@pytest.mark.parametrize("shape", SHAPES.values(), ids=str)
def test_schwinger_dyson(shape, clusters):
    """< phi(x) dS/dphi(y) > = delta_xy at y = x and, for two sites that differ, x + mu."""
    action = Phi4(-4.0, 5.113)
    sampler = Cluster(Lattice(shape), action, 256, clusters=clusters, thermalization=100, block=40)
    phi, _ = sample(sampler, 1)
    slopes = -action.force(phi.flatten(0, 1)).reshape(phi.shape)
    assert_means((phi * slopes).flatten(2).mean(2), 1.0)
    assert_means((phi * slopes.roll(1, 2 + shape.index(max(shape)))).flatten(2).mean(2), 0.0)


@EACH
@pytest.mark.parametrize(
    ("side", "lam", "magnetization", "chi2"),
    [(8, 8.0, (0.08717, 16e-5), (0.7473, 0.0025)), (6, 6.975, (0.14121, 28e-5), (1.0594, 0.0035))],
)
def test_published_values(side, lam, magnetization, chi2, clusters):
    """In d = 2 at m2 = -4, five sigma of both errors together (p = 6e-7 a number)."""
    action = Phi4(-4.0, lam)
    phi, _ = sample(Cluster(Lattice([side] * 2), action, 128, clusters=clusters, block=160), 1)
    m = phi.flatten(2).mean(2)
    for values, (published, error) in ((m.abs(), magnetization), (side**2 * m**2, chi2)):
        means = values.mean(0)
        own = means.std() / len(means) ** 0.5
        assert own < 0.02 * published
        assert (means.mean() - published).abs() < 5 * (own**2 + error**2) ** 0.5


def test_both_modes_of_an_ordered_phase_are_seen():
    """A coin flips the large cluster: five sigma of 64 chains of 29 steps, p = 6e-7."""
    action, all_of_them = Phi4(-8.0, 2.0), "swendsen_wang"
    sampler = Cluster(Lattice([4, 4]), action, 64, 1, 1, all_of_them, thermalization=20, block=30)
    phi, _ = sample(sampler, 1)
    signs = phi.flatten(2).mean(2).sign()
    changes = (signs[1:] != signs[:-1]).double().mean().item()
    assert changes == pytest.approx(0.5, abs=0.06)


def test_signs_are_fair_where_a_single_cluster_is_the_lattice():
    """They would alternate otherwise, and every second row had one sign."""
    action = Phi4(-8.0, 2.0)
    sampler = Cluster(Lattice([4, 4]), action, 64, clusters="wolff", thermalization=20, block=30)
    phi, state = sample(sampler, 1)
    assert int(state.single) == 1
    signs = phi.flatten(2).mean(2).sign()
    assert (signs[1:] != signs[:-1]).double().mean().item() == pytest.approx(0.5, abs=0.06)
    assert (signs[2:] != signs[:-2]).double().mean().item() == pytest.approx(0.5, abs=0.06)
    assert sampler.step(state, seeded(2))[1].correlators is None  # they would have large errors


def test_how_many_single_clusters_an_update_has():
    """So many that they visit as many sites as there are, within what the mean size scatters by;
    fixed from the first configuration on."""
    action, shape = Phi4(-4.0, 6.0), [16, 16]
    sampler = Cluster(Lattice(shape), action, 256, clusters="wolff", thermalization=100, block=20)
    state = sampler.start(seeded(1))
    single = int(state.single)
    assert 1 < single < 256
    later, _ = sampler.step(state, seeded(2))
    assert int(later.single) == single
    assert sampler.info(later)["clusters_an_update"] == single
    steps = sampler._steps(float(state.width), float(state.reflection), single)
    visited = sampler._update(later.phi, steps, seeded(3)).flipped.mean().item()
    assert visited == pytest.approx(256, rel=0.25)


@pytest.mark.parametrize(("lam", "large"), [(12.0, False), (4.5, True)])
def test_single_clusters_where_they_are_large(lam, large):
    sampler = Cluster(Lattice([16, 16]), Phi4(-4.0, lam), 64, thermalization=60)
    single = int(sampler.start(seeded(1)).single)
    assert 0 < single <= 256 / 50 if large else single == 0


def test_estimators_by_clusters_are_left_out():
    sampler = small("swendsen_wang", improved=False)
    assert sampler.step(sampler.start(seeded(1)), seeded(2))[1].correlators is None


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


def small(clusters, **options):
    action = Phi4(-4.0, 5.113)
    return Cluster(Lattice([4, 3]), action, 8, clusters=clusters, thermalization=20, **options)


@EACH
def test_a_block_is_a_function_of_state_and_generator(clusters):
    assert_reproducible(small(clusters))


@EACH
def test_a_state_from_a_file_goes_on_bit_for_bit(clusters):
    sampler = small(clusters)
    state, _ = sampler.step(sampler.start(seeded(1)), seeded(2))
    tensors = {k: torch.from_numpy(v.numpy().copy(order="C")) for k, v in state._asdict().items()}
    read = type(sampler.initial_state())(**tensors)
    expected, found = sampler.step(state, seeded(3))[1], sampler.step(read, seeded(3))[1]
    assert torch.equal(found.phi, expected.phi)
    assert torch.equal(found.action, expected.action)


@EACH
def test_the_layout_of_a_block(clusters):
    sampler = small(clusters, block=5, thin=2)
    action = sampler.action
    state, block = sampler.step(sampler.start(seeded(1)), seeded(2))
    assert (block.correlators is not None) == (int(state.single) in (0, *range(5, 13)))
    if clusters == "swendsen_wang":
        assert block.correlators.shape == (40, 7)
        assert torch.equal(block.correlators[-8:], state.correlators)
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


@EACH
def test_improved_estimators_have_the_means_of_the_plain_ones(clusters):
    """Of replicas, which are independent: five sigma of the differences, p = 6e-7 a number."""
    action, shape = Phi4(-4.0, 8.0), [8, 4]
    sampler = Cluster(Lattice(shape), action, 256, clusters=clusters, thermalization=100, block=40)
    _, block = sampler.step(sampler.start(seeded(1)), seeded(2))
    plain = Configurations(block.phi, action)
    averages = SignAverages(block.phi, action, block.correlators)
    for observable in (Susceptibility(), TwoPoint(), CorrelationLength()):
        both = [observable.measure(rows).reshape(40, 256, -1) for rows in (averages, plain)]
        assert_means(both[0] - both[1], 0.0)
        assert (both[0].std((0, 1)) < both[1].std((0, 1))).all()


@EACH
def test_the_improved_chi2_of_a_chain_is_that_of_the_transfer_matrix(clusters):
    lattice, action = Lattice([8]), Phi4(1.0, 0.5)
    sampler = Cluster(lattice, action, 512, clusters=clusters, thermalization=60, block=50)
    _, block = sampler.step(sampler.start(seeded(1)), seeded(2))
    found = SignAverages(block.phi, action, block.correlators)
    exact = known(action, lattice)
    assert_means(Susceptibility().measure(found).reshape(50, 512), exact["chi2"])
    two_point = torch.from_numpy(exact["two_point"])
    assert_means(TwoPoint().measure(found).reshape(50, 512, -1), two_point)
