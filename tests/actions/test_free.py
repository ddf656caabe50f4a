"""The closed formulas of the free theory against its matrix, S = phi A phi / 2."""

import math

import pytest
import torch

from flowlat.actions import Free
from flowlat.lattice import Lattice
from tests.support.helpers import SHAPES

SHAPES_TOO = [*SHAPES.values(), [5], [3, 2]]


def matrix(action, shape):
    n = math.prod(shape)
    basis = torch.eye(n, dtype=torch.float64).reshape(n, *shape)
    return -action.force(basis).reshape(n, n)


@pytest.mark.parametrize("shape", SHAPES_TOO)
def test_action_is_the_quadratic_form(shape):
    action = Free(0.7)
    phi = torch.randn(1, *shape, dtype=torch.float64)
    form = phi.flatten() @ matrix(action, shape) @ phi.flatten() / 2
    torch.testing.assert_close(action(phi)[0], form)


@pytest.mark.parametrize("shape", SHAPES_TOO)
def test_log_z_is_the_determinant(shape):
    action = Free(0.7)
    log_det = torch.linalg.slogdet(matrix(action, shape)).logabsdet.item()
    expected = 0.5 * (math.prod(shape) * math.log(2 * math.pi) - log_det)
    assert action.log_z(Lattice(shape)) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("shape", SHAPES_TOO)
def test_propagator_is_the_inverse(shape):
    """Of any pair of sites: G(x, y) = G(0, y - x)."""
    action = Free(0.7)
    propagator = action.propagator(Lattice(shape))
    inverse = torch.linalg.inv(matrix(action, shape)).reshape(*shape, *shape)
    site = tuple(side // 2 for side in shape)
    axes = tuple(range(len(shape)))
    torch.testing.assert_close(inverse[site], propagator.roll(site, axes))
    assert propagator.flatten()[0] > propagator.flatten()[1:].max()


def test_a_massless_field_is_refused():
    with pytest.raises(ValueError, match=r"m2=0\.0 with lam=0"):
        Free(0.0)
