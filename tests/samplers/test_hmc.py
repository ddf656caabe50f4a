"""HMC against what is known exactly. Errors come from independent replicas."""

import ast
from pathlib import Path

import pytest
import torch

from flowlat.actions import Free, Phi4
from flowlat.lattice import Lattice
from flowlat.samplers import HMC, hmc
from tests.samplers.chains import (
    assert_goes_on_from_a_file,
    assert_means,
    assert_rejects_what_blows_up,
    assert_reproducible,
    sample,
    seeded,
)
from tests.support.helpers import SHAPES
from tests.support.tilted import Tilted
from tests.support.transfer_matrix import chain

MASSES = pytest.mark.parametrize("mass2", [None, 0.5], ids=["plain", "fourier"])


@pytest.mark.parametrize(
    ("integrator", "mass2"), [("leapfrog", None), ("minimum_norm", None), ("minimum_norm", 0.5)]
)
@pytest.mark.parametrize("shape", [*SHAPES.values(), [5], [3, 5]])
def test_the_free_theory_mode_by_mode(shape, integrator, mass2):
    """<|phi_k|^2> = 1 / (2 (khat^2 + m2)), at an acceptance low enough to matter."""
    lattice, action = Lattice(shape), Free(0.7)
    sampler = HMC(
        lattice,
        action,
        replicas=256,
        integrator=integrator,
        trajectory_length=3.0,
        fourier_acceleration=mass2,
        thermalization=100,
        target_acceptance=0.7,
        block=40,
    )
    phi, state = sample(sampler, 1)
    assert sampler.info(state)["acceptance"] < 0.98
    spectrum = torch.fft.fftn(phi, dim=tuple(range(2, phi.dim())), norm="ortho").abs() ** 2
    assert_means(spectrum / action.mode_variance(lattice), 1.0)


@MASSES
@pytest.mark.parametrize("randomize", [True, False])
@pytest.mark.parametrize(("m2", "lam"), [(1.0, 0.5), (-1.0, 1.5)])
def test_the_interacting_chain_is_that_of_the_transfer_matrix(m2, lam, randomize, mass2):
    sampler = HMC(
        Lattice([6]),
        Phi4(m2, lam),
        replicas=512,
        trajectory_length=1.0,
        randomize_length=randomize,
        fourier_acceleration=mass2,
        thermalization=100,
        target_acceptance=0.6,
        block=50,
    )
    phi, _ = sample(sampler, 1)
    assert_means((phi**2).mean(2), chain(m2, lam, length=6)[1])


@pytest.mark.parametrize("shape", SHAPES.values())
@pytest.mark.parametrize("action", [Phi4(-4.0, 5.113), Tilted(-1.0, 1.5, 0.5)], ids=["even", "odd"])
def test_schwinger_dyson(shape, action):
    """< phi(x) dS/dphi(y) > = delta_xy at y = x and, for two sites that differ, x + mu."""
    phi, _ = sample(HMC(Lattice(shape), action, replicas=256, thermalization=200, block=40), 1)
    slope = -action.force(phi.flatten(0, 1)).reshape(phi.shape)
    assert_means((phi * slope).flatten(2).mean(2), 1.0)
    assert_means((phi * slope.roll(1, 2 + shape.index(max(shape)))).flatten(2).mean(2), 0.0)


def test_both_modes_of_an_ordered_phase_are_seen():
    """A deep double well, in which no trajectory crosses from one side to the other."""
    lattice, action = Lattice([4, 4]), Phi4(-8.0, 2.0)
    for sign_flip in (True, False):
        sampler = HMC(lattice, action, 64, sign_flip=sign_flip, thermalization=50, block=30)
        phi, _ = sample(sampler, 1)
        signs = phi.flatten(2).mean(2).sign()
        # of all replicas: a fair coin, 64 of them, five sigma
        assert signs[0].mean().abs() < 5 / 8
        changes = (signs[1:] != signs[:-1]).double().mean().item()
        assert changes == pytest.approx(0.5 if sign_flip else 0.0, abs=0.06)


def test_no_signs_are_flipped_where_the_action_is_not_even():
    sampler = HMC(Lattice([4, 4]), Tilted(-8.0, 2.0, 0.5), 16, thermalization=50, block=10)
    phi, _ = sample(sampler, 1)
    assert (phi.flatten(2).mean(2) < 0).all()


@pytest.mark.parametrize("integrator", ["leapfrog", "minimum_norm"])
@pytest.mark.parametrize("shape", [[16], [8, 8], [4, 4, 4]])
def test_the_step_size_is_tuned(shape, integrator):
    """To the target, or a little above: the steps of a trajectory are whole."""
    sampler = HMC(
        Lattice(shape),
        Phi4(-4.0, 5.113),
        integrator=integrator,
        trajectory_length=3.0,
        thermalization=100,
        target_acceptance=0.7,
        block=40,
    )
    info = sampler.info(sample(sampler, 1)[1])
    assert info["step_size"] * info["n_leapfrog"] == pytest.approx(3.0)
    assert 0.65 < info["acceptance"] < 0.98


@pytest.mark.parametrize(("m2", "lengths"), [(0.04, (4.0, 8.0)), (4.0, (0.5, 1.0))])
def test_the_length_is_tuned(m2, lengths):
    """A free mode of frequency w = (2 m2)^(1/2) is half way round its period at a length pi / w:
    11 and 1.1; with random lengths around the mean the best is a little below a half of that."""
    sampler = HMC(Lattice([8, 8]), Free(m2), thermalization=400)
    info = sampler.info(sampler.start(seeded(1)))
    assert round(info["step_size"] * info["n_leapfrog"], 9) in lengths
    assert info == sampler.info(sampler.start(seeded(1)))


def test_a_short_thermalisation_tunes_no_length():
    sampler = HMC(Lattice([4, 4]), Free(0.04), 8, thermalization=199)
    info = sampler.info(sampler.start(seeded(1)))
    assert info["step_size"] * info["n_leapfrog"] == pytest.approx(2.0)


def test_the_layout_of_a_block():
    """Row i belongs to replica i mod R: a rejected trajectory repeats the row R before it."""
    action = Phi4(-4.0, 5.113)
    sampler = HMC(Lattice([4, 4]), action, 8, thermalization=20, target_acceptance=0.4, block=20)
    state, block = sampler.step(sampler.start(seeded(1)), seeded(2))
    assert len(block.phi) == sampler.rows == 160
    assert block.phi.dtype == block.action.dtype == torch.float64
    assert block.log_weight is None
    torch.testing.assert_close(block.action, action(block.phi))
    assert torch.equal(block.phi[-8:], state.phi)
    before, after = block.phi[:-8], block.phi[8:]
    same = (before.abs() == after.abs()).flatten(1).all(1)
    assert torch.equal(~same, block.accepted[8:])
    assert 0.1 < block.accepted.double().mean() < 0.9


def test_thin_leaves_rows_out():
    lattice, action = Lattice([4, 4]), Phi4(-4.0, 5.113)
    fine = HMC(lattice, action, 8, thermalization=20, target_acceptance=0.4, block=20)
    coarse = HMC(lattice, action, 8, thermalization=20, target_acceptance=0.4, block=10, thin=2)
    state = fine.start(seeded(1))
    every, second = fine.step(state, seeded(2))[1], coarse.step(state, seeded(2))[1]
    assert torch.equal(second.phi, every.phi.reshape(10, 2, 8, 4, 4)[:, 1].flatten(0, 1))
    moved = every.accepted.reshape(10, 2, 8).any(1)
    assert torch.equal(second.accepted, moved.flatten())


def test_a_block_is_a_function_of_state_and_generator():
    assert_reproducible(HMC(Lattice([4, 4]), Phi4(-4.0, 5.113), 8, thermalization=20))


@pytest.mark.parametrize("mass2", [None, 0.5])
def test_a_state_from_a_file_goes_on_bit_for_bit(mass2):
    options = {"fourier_acceleration": mass2, "thermalization": 20}
    assert_goes_on_from_a_file(HMC(Lattice([4, 3, 2]), Phi4(-4.0, 5.113), 8, **options))


def test_a_trajectory_that_blows_up_is_rejected():
    sampler = HMC(Lattice([4, 4]), Phi4(-4.0, 5.113), 8, thermalization=20, block=3)
    assert_rejects_what_blows_up(sampler)


def test_a_force_that_is_none_is_named():
    class Wrong(Phi4):
        def force(self, phi):
            return 1e6 * torch.randn_like(phi)

    with pytest.raises(ValueError, match=r"target_acceptance=0\.85: not reached.*its gradient"):
        HMC(Lattice([4, 4]), Wrong(-4.0, 5.113), 8).start(seeded(1))


def test_hmc_knows_of_no_flow():
    """What it imports, and what that imports of the samplers; hints of types aside."""
    seen, left = set(), {"flowlat.samplers.hmc"}
    while left:
        module = left.pop()
        seen.add(module)
        path = Path(hmc.__file__).parent.joinpath(*module.split(".")[2:]).with_suffix(".py")
        nodes = ast.parse(path.read_text()).body  # not those under TYPE_CHECKING
        names = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        new = {name for name in names if name.startswith("flowlat.")} - seen
        left |= {name for name in new if name.startswith("flowlat.samplers.")}
        seen |= new
    assert {"flowlat.samplers.density", "flowlat.samplers.dynamics.integrators"} <= seen
    rooms = {name.split(".")[1] for name in seen}
    assert rooms == {"actions", "kernels", "lattice", "samplers", "utils"}
