"""The oracle itself, where the answer is known."""

import pytest

from flowlat.actions import Free
from flowlat.lattice import Lattice
from tests.support.transfer_matrix import chain, chain_two_point


@pytest.mark.parametrize("length", [1, 2, 6, 12])
@pytest.mark.parametrize("m2", [0.7, 2.0])
def test_transfer_matrix_knows_the_free_chain(m2, length):
    log_z, phi2 = chain(m2, 0.0, length)
    lattice, action = Lattice([length]), Free(m2)
    assert log_z == pytest.approx(action.log_z(lattice), abs=1e-10)
    propagator = action.propagator(lattice).numpy()
    assert phi2 == pytest.approx(propagator[0], abs=1e-10)
    assert chain_two_point(m2, 0.0, length) == pytest.approx(propagator, abs=1e-10)


@pytest.mark.parametrize(("m2", "lam"), [(1.0, 0.5), (-1.0, 1.5), (-4.0, 8.0), (-8.0, 2.0)])
def test_quadrature_has_converged(m2, lam):
    assert chain(m2, lam, 6, n=200) == pytest.approx(chain(m2, lam, 6, n=320), abs=1e-10)
    assert chain_two_point(m2, lam, 6)[0] == pytest.approx(chain(m2, lam, 6)[1], abs=1e-10)
