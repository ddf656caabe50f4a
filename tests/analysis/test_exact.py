"""What is known exactly, against independent calculations of it."""

import math

import numpy as np
import pytest
import torch

from flowlat.actions import Free, Phi4
from flowlat.analysis.exact import free, known, transfer_matrix
from flowlat.lattice import Lattice
from flowlat.observables import EffectiveMass
from tests.support.transfer_matrix import chain, chain_two_point

THEORIES = [(1.0, 0.5), (-1.0, 1.5), (-4.0, 8.0), (-8.0, 2.0)]


@pytest.mark.parametrize(("m2", "lam"), THEORIES)
@pytest.mark.parametrize("length", [1, 2, 5, 12])
def test_two_quadratures_agree(m2, lam, length):
    """Equidistant nodes here, those of Gauss and Legendre in the oracle."""
    found = transfer_matrix(m2, lam, length)
    assert (found["log_z"], found["phi2"]) == pytest.approx(chain(m2, lam, length), abs=1e-9)
    two_point = chain_two_point(m2, lam, length)
    assert found["two_point"] == pytest.approx(two_point[: length // 2 + 1], abs=1e-9)
    assert found["chi2"] == pytest.approx(two_point.sum(), abs=1e-9)


@pytest.mark.parametrize(
    ("m2", "lam"), [(-100.0, 1.0), (-20.0, 1.9), (-1111.0, 6173.0), (-2e4, 1e4)]
)
def test_deep_wells_are_an_ising_chain(m2, lam):
    """phi = +-v rho with rho near 1: nothing overflows, and a finer quadrature agrees."""
    found, finer = transfer_matrix(m2, lam, 8), transfer_matrix(m2, lam, 8, n=600)
    for name, value in found.items():
        assert value == pytest.approx(finer[name], rel=1e-8), name
    v2, barrier = -m2 / (2 * lam), m2**2 / (4 * lam)
    t = math.tanh(2 * v2)
    ising = v2 * sum(t**r + t ** (8 - r) for r in range(8)) / (1 + t**8)
    assert found["chi2"] == pytest.approx(ising, rel=1 / barrier)


@pytest.mark.parametrize(("m2", "lam"), [(0.0035, 1e-7), (0.005, 1e-6), (0.02, 1e-4)])
def test_a_wide_potential_has_the_nodes_that_it_needs(m2, lam):
    """At the first of them 256 nodes are off by 4e-5 in log Z."""
    found, finer = transfer_matrix(m2, lam, 8), transfer_matrix(m2, lam, 8, n=1500)
    for name, value in found.items():
        assert value == pytest.approx(finer[name], rel=1e-11, abs=1e-11), name


@pytest.mark.parametrize("m2", [0.004, 0.01])
def test_a_wide_potential_next_to_the_free_one(m2):
    """To first order log Z falls by lam <sum phi^4> = 3 L lam <phi^2>^2."""
    lam, length, exactly = 1e-12, 4, free(m2, Lattice([4]))
    shift = 3 * length * lam * exactly["phi2"] ** 2
    found = transfer_matrix(m2, lam, length)["log_z"]
    assert found == pytest.approx(exactly["log_z"] - shift, abs=1e-10)


def test_of_what_takes_too_many_nodes_nothing_is_known():
    always = {"schwinger_dyson": 1.0, "magnetization": 0.0}
    assert known(Phi4(1e-6, 1e-12), Lattice([4])) == always
    with pytest.raises(ValueError, match=r"would need .* nodes, at most 1024"):
        transfer_matrix(1e-6, 1e-12, 4)


@pytest.mark.parametrize(("m2", "lam"), THEORIES)
def test_densities_are_derivatives_of_log_z(m2, lam):
    """d log Z / d m2 = -L <phi^2> and d log Z / d lam = -L <phi^4>."""
    length, step = 6, 1e-4

    def slope(dm2, dlam):
        up = transfer_matrix(m2 + dm2, lam + dlam, length)["log_z"]
        down = transfer_matrix(m2 - dm2, lam - dlam, length)["log_z"]
        return (up - down) / (2 * step * length)

    found = transfer_matrix(m2, lam, length)
    phi2, phi4 = -slope(step, 0), -slope(0, step)
    assert found["phi2"] == pytest.approx(phi2, abs=1e-6)
    assert found["potential_density"] == pytest.approx(m2 * phi2 + lam * phi4, abs=1e-5)
    total = found["kinetic_density"] + found["potential_density"]
    assert found["action_density"] == pytest.approx(total)


@pytest.mark.parametrize("length", [1, 2, 7, 12])
def test_the_chain_without_coupling_is_free(length):
    a, b = transfer_matrix(0.7, 0.0, length), free(0.7, Lattice([length]))
    for name, value in a.items():
        assert value == pytest.approx(b[name], abs=1e-9), name


@pytest.mark.parametrize("shape", [[6], [3, 4], [2, 3, 4], [2, 2, 3, 4]], ids=str)
def test_the_free_theory_is_the_inverse_of_its_matrix(shape):
    """S = phi K phi: covariance (2K)^-1, log Z = (V log(pi) - log det K) / 2."""
    m2, lattice = 0.6, Lattice(shape)
    size, action = lattice.volume, Free(m2)
    basis = torch.eye(size, dtype=torch.float64).reshape(size, *shape)
    matrix = -action.force(basis).reshape(size, size).numpy() / 2
    covariance = np.linalg.inv(2 * matrix)
    found = free(m2, lattice)
    _, log_det = np.linalg.slogdet(matrix)
    assert found["log_z"] == pytest.approx((size * math.log(math.pi) - log_det) / 2)
    assert found["phi2"] == pytest.approx(covariance[0, 0])
    assert found["chi2"] == pytest.approx(covariance.sum() / size)
    variance = covariance.sum() / size**2
    assert found["abs_magnetization"] == pytest.approx(math.sqrt(2 * variance / math.pi))
    assert found["connected_susceptibility"] == pytest.approx(size * variance * (1 - 2 / math.pi))
    assert found["action_density"] == pytest.approx(np.trace(matrix @ covariance) / size)
    potential = m2 * np.trace(covariance) / size
    assert found["potential_density"] == pytest.approx(potential)
    assert found["kinetic_density"] == pytest.approx(0.5 - potential)
    slices = covariance.reshape(-1, shape[-1], size // shape[-1], shape[-1]).mean((0, 2))
    assert found["two_point"] == pytest.approx(slices[0, : shape[-1] // 2 + 1])
    full = torch.from_numpy(slices[0])
    assert EffectiveMass().derive(full).tolist() == pytest.approx(found["effective_mass"].tolist())


def test_what_is_known_of_which_theory():
    always = {"schwinger_dyson": 1.0, "magnetization": 0.0}
    assert known(Phi4(-4.0, 8.0), Lattice([4, 4])) == always
    assert known(Phi4(0.5, 0.0), Lattice([4, 4])).keys() == known(Free(0.5), Lattice([4, 4])).keys()
    assert known(Phi4(0.5, 1.0), Lattice([4]))["phi2"] == transfer_matrix(0.5, 1.0, 4)["phi2"]

    class Sextic(Phi4):
        """Of a user's own: nothing may be assumed of its potential."""

    assert known(Sextic(0.5, 0.0), Lattice([4, 4])) == always
