import itertools
import math

import pytest
import torch

from flowlat.actions import Free, Phi4
from flowlat.lattice import batch_fastest
from tests.support.helpers import SHAPES


def by_hand(phi, m2, lam):
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


@pytest.mark.parametrize("shape", [*SHAPES.values(), [1], [3, 5], [2, 2, 2, 2, 2]])
def test_action_is_its_definition(shape):
    phi = torch.randn(3, *shape, dtype=torch.float64)
    expected = [by_hand(configuration, -4.0, 5.113) for configuration in phi]
    assert Phi4(-4.0, 5.113)(phi).tolist() == pytest.approx(expected, rel=1e-12)
    assert Phi4(-4.0, 5.113)(-phi).tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", SHAPES.values())
@pytest.mark.parametrize("action", [Phi4(-4.0, 8.0), Free(0.7)], ids=["phi4", "free"])
def test_force_is_minus_the_gradient(shape, action):
    phi = torch.randn(2, *shape, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(action(phi).sum(), phi)
    torch.testing.assert_close(action.force(phi.detach()), -gradient)


@pytest.mark.parametrize("shape", [*SHAPES.values(), [1], [3, 5]])
def test_any_layout_in_memory(shape):
    """With the batch as the fastest index the same numbers, and the force lies there too."""
    phi, action = torch.randn(7, *shape, dtype=torch.float64), Phi4(-4.0, 5.113)
    turned = batch_fastest(phi)
    torch.testing.assert_close(action(turned), action(phi))
    torch.testing.assert_close(action.force(turned), action.force(phi))
    assert action.force(turned).stride() == turned.stride()
    assert action.force(phi).is_contiguous()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(dtype):
    phi = torch.randn(2, 4, 4, dtype=dtype)
    assert Phi4(1.0, 1.0)(phi).dtype == Phi4(1.0, 1.0).force(phi).dtype == dtype


@pytest.mark.parametrize(
    ("m2", "lam", "message"),
    [
        (-4, -1, "lam=-1"),
        (-1, 0, "m2=-1 with lam=0"),
        (0, 0, "m2=0 with lam=0"),
        (math.nan, 1, "m2=nan"),
        (1, math.inf, "lam=inf"),
    ],
)
def test_unbounded_actions_are_refused(m2, lam, message):
    with pytest.raises(ValueError, match=message):
        Phi4(m2, lam)
