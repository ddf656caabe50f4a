import itertools
import math

import pytest
import torch

from flowlat.actions import Free, Phi4
from flowlat.lattice import Lattice
from tests.helpers import SHAPES
from tests.truth import chain


def brute_force(phi, m2, lam):
    """The definition, site by site: sum_mu (phi(x+mu) - phi(x))^2 + m2 phi^2 + lam phi^4."""
    total = 0.0
    for site in itertools.product(*map(range, phi.shape)):
        value = phi[site].item()
        total += m2 * value**2 + lam * value**4
        for axis, side in enumerate(phi.shape):
            ahead = list(site)
            ahead[axis] = (ahead[axis] + 1) % side
            total += (phi[tuple(ahead)].item() - value) ** 2
    return total


@pytest.mark.parametrize("shape", SHAPES.values())
def test_phi4_is_its_definition(shape):
    phi = torch.randn(3, *shape, dtype=torch.float64)
    expected = [brute_force(configuration, -4.0, 5.113) for configuration in phi]
    assert Phi4(-4.0, 5.113)(phi).tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", SHAPES.values())
@pytest.mark.parametrize("action", [Phi4(-4.0, 8.0), Free(0.7)])
def test_force_is_minus_the_gradient(shape, action):
    phi = torch.randn(2, *shape, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(action(phi).sum(), phi)
    torch.testing.assert_close(action.force(phi.detach()), -gradient)


@pytest.mark.parametrize("shape", SHAPES.values())
def test_free_theory_against_its_matrix(shape):
    lattice, action = Lattice(shape), Free(0.7)
    n = lattice.volume
    basis = torch.eye(n, dtype=torch.float64).reshape(n, *shape)
    matrix = -action.force(basis).reshape(n, n)  # S = phi A phi / 2
    log_z = 0.5 * (n * math.log(2 * math.pi) - torch.linalg.slogdet(matrix).logabsdet.item())
    assert action.log_z(lattice) == pytest.approx(log_z, abs=1e-10)
    expected = torch.linalg.inv(matrix)[0].reshape(shape)
    torch.testing.assert_close(action.propagator(lattice), expected)


def test_transfer_matrix_knows_the_free_chain():
    log_z, phi2 = chain(0.7, 0.0, 6)
    lattice, action = Lattice([6]), Free(0.7)
    assert log_z == pytest.approx(action.log_z(lattice), abs=1e-8)
    assert phi2 == pytest.approx(action.propagator(lattice)[0].item(), abs=1e-8)


@pytest.mark.parametrize(
    ("m2", "lam", "message"),
    [(-4, -1, "lam=-1"), (-1, 0, "m2=-1"), (0, 0, "m2=0"), (math.nan, 1, "m2=nan")],
)
def test_unbounded_actions_are_refused(m2, lam, message):
    with pytest.raises(ValueError, match=message):
        Phi4(m2, lam)
