"""MCLMC against what is known exactly, as HMC. Errors come from independent replicas."""

import pytest
import torch

from flowlat.actions import Free, Phi4
from flowlat.analysis.exact import free
from flowlat.lattice import Lattice
from flowlat.samplers import MCLMC
from flowlat.utils.errors import ConfigError
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

#: quick, and accepted too seldom for a test that is wrong to pass
OPTIONS = {"replicas": 256, "target_acceptance": 0.6, "thermalization": 100, "block": 40}


@pytest.mark.parametrize("integrator", ["leapfrog", "minimum_norm"])
@pytest.mark.parametrize("shape", [*SHAPES.values(), [2], [3, 5]])
def test_the_free_theory_mode_by_mode(shape, integrator):
    """<|phi_k|^2> = 1 / (2 (khat^2 + m2)), and with it chi2 and <phi^2>."""
    lattice, action = Lattice(shape), Free(0.7)
    options = {**OPTIONS, "integrator": integrator, "trajectory_length": 3.0}
    phi, state = sample(MCLMC(lattice, action, **options), 1)
    axes = tuple(range(2, phi.dim()))
    spectrum = torch.fft.fftn(phi, dim=axes, norm="ortho").abs() ** 2
    assert_means(spectrum / action.mode_variance(lattice), 1.0)
    known = free(0.7, lattice)
    assert_means(spectrum[(..., *[0] * lattice.d)] / known["chi2"], 1.0)
    assert_means((phi**2).flatten(2).mean(2), known["phi2"])
    assert float(state.accepted) / int(state.trajectories) < 0.98


@pytest.mark.parametrize("decoherence", [0.3, 3.0])
@pytest.mark.parametrize(("m2", "lam"), [(1.0, 0.5), (-1.0, 1.5)])
def test_the_interacting_chain_is_that_of_the_transfer_matrix(m2, lam, decoherence):
    options = {**OPTIONS, "replicas": 512, "trajectory_length": 1.0, "decoherence": decoherence}
    phi, _ = sample(MCLMC(Lattice([6]), Phi4(m2, lam), **options), 1)
    assert_means((phi**2).mean(2), chain(m2, lam, length=6)[1])


@pytest.mark.parametrize("shape", SHAPES.values())
@pytest.mark.parametrize("action", [Phi4(-4.0, 5.113), Tilted(-1.0, 1.5, 0.5)], ids=["even", "odd"])
def test_schwinger_dyson(shape, action):
    """< phi(x) dS/dphi(y) > = delta_xy at y = x and, for two sites that differ, x + mu."""
    phi, _ = sample(MCLMC(Lattice(shape), action, **OPTIONS), 1)
    slope = -action.force(phi.flatten(0, 1)).reshape(phi.shape)
    assert_means((phi * slope).flatten(2).mean(2), 1.0)
    assert_means((phi * slope.roll(1, 2 + shape.index(max(shape)))).flatten(2).mean(2), 0.0)


def test_deep_wells_are_crossed():
    """chi2 of the transfer matrix, where no trajectory crosses: the move of the signs is HMC's."""
    m2, lam = -392.0, 2000.0
    options = {**OPTIONS, "trajectory_length": 0.2, "block": 20}
    phi, _ = sample(MCLMC(Lattice([8]), Phi4(m2, lam), **options), 1)
    assert_means((phi**2).mean(2), chain(m2, lam, length=8)[1])


@pytest.mark.parametrize("shape", [[16], [8, 8]])
def test_the_step_size_is_tuned(shape):
    """To the target, or a little above: the steps of a trajectory are whole."""
    options = {"trajectory_length": 3.0, "thermalization": 100, "target_acceptance": 0.7}
    sampler = MCLMC(Lattice(shape), Phi4(-4.0, 5.113), block=20, **options)
    info = sampler.info(sample(sampler, 1)[1])
    assert info["step_size"] * info["n_leapfrog"] == pytest.approx(3.0)
    assert 0.65 < info["acceptance"] < 0.98


def test_a_step_size_is_kept():
    """The longest of at most 0.07 of which a whole number makes the length."""
    options = {"step_size": 0.07, "trajectory_length": 0.5, "thermalization": 5}
    sampler = MCLMC(Lattice([4, 4]), Free(0.5), 8, **options)
    info = sampler.info(sampler.start(seeded(1)))
    assert info["n_leapfrog"] == 8
    assert info["step_size"] == pytest.approx(0.5 / 8)


@pytest.mark.parametrize(("m2", "lengths"), [(0.04, (4.0, 8.0)), (4.0, (0.5, 1.0))])
def test_the_length_is_tuned(m2, lengths):
    """Longer for light modes, as that of HMC."""
    sampler = MCLMC(Lattice([6, 6]), Free(m2), thermalization=300)
    info = sampler.info(sampler.start(seeded(1)))
    assert round(info["step_size"] * info["n_leapfrog"], 9) in lengths


def test_a_block_is_a_function_of_state_and_generator():
    assert_reproducible(MCLMC(Lattice([4, 4]), Phi4(-4.0, 5.113), 8, thermalization=20))


def test_a_state_from_a_file_goes_on_bit_for_bit():
    sampler = MCLMC(Lattice([4, 3, 2]), Phi4(-4.0, 5.113), 8, thermalization=20)
    assert_goes_on_from_a_file(sampler)


def test_a_trajectory_that_blows_up_is_rejected():
    sampler = MCLMC(Lattice([4, 4]), Phi4(-4.0, 5.113), 8, thermalization=20, block=3)
    assert_rejects_what_blows_up(sampler)


def test_bad_input_is_one_line():
    with pytest.raises(ConfigError, match=r"no sampler\.step_size, and .*thermalization=19 is too"):
        MCLMC(Lattice([4]), Free(1.0), thermalization=19)
    with pytest.raises(ConfigError, match=r"lattice\.shape=\[1\] has one site"):
        MCLMC(Lattice([1]), Free(1.0))
