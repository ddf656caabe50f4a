import numpy as np
import pytest

from flowlat.actions import Free
from flowlat.actions.transfer_matrix import TransferMatrix
from flowlat.lattice import Lattice
from tests.support.transfer_matrix import chain


@pytest.mark.parametrize(("m2", "lam"), [(1.0, 0.5), (-4.0, 1.4), (-4.0, 8.0)])
@pytest.mark.parametrize("length", [1, 2, 12])
def test_log_z(m2, lam, length):
    assert TransferMatrix(m2, lam).log_z(length) == pytest.approx(chain(m2, lam, length)[0])


@pytest.mark.parametrize("length", [1, 5, 1000])
def test_log_z_of_the_free_chain(length):
    expected = Free(0.7).log_z(Lattice([length]))
    assert TransferMatrix(0.7, 0.0).log_z(length) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("m2", "lam"), [(-4.0, 1.4), (-100.0, 1.0)])
def test_its_eigenvectors_make_the_kernel_again(m2, lam):
    """T^2 between nodes by the eigenvectors, and by the sum over the nodes between."""
    solved = TransferMatrix(m2, lam, 120)
    a, half = solved.nodes, solved.half
    kernel = np.exp(-half[:, None] - (a[:, None] - a) ** 2 - half) * solved.spacing
    largest = np.linalg.eigvalsh(kernel)[-1]
    twice = solved.vectors * solved.values**2 @ solved.vectors.T
    np.testing.assert_allclose(twice, kernel @ kernel / largest**2, rtol=0, atol=1e-12)
    assert (np.diff(solved.values) <= 0).all()
    assert solved.values[0] == 1


@pytest.mark.parametrize(("m2", "lam"), [(-1e200, 1.0), (float("nan"), 1.0)])
def test_what_is_beyond_all_numbers_is_refused(m2, lam):
    with pytest.raises(ValueError, match="beyond the range of floating-point numbers"):
        TransferMatrix(m2, lam)
