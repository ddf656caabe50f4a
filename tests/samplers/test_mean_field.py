import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from flowlat.actions import Free, Phi4
from flowlat.lattice import Lattice
from flowlat.samplers.mean_field import MeanField
from tests.support.helpers import SHAPES
from tests.support.tilted import Tilted

ORDERED = Phi4(-4.0, 2.0)
ACTIONS = pytest.mark.parametrize(
    "action", [ORDERED, Phi4(1.0, 0.5), Tilted(-4.0, 2.0, 0.3)], ids=["ordered", "symmetric", "odd"]
)


@ACTIONS
@pytest.mark.parametrize("shape", SHAPES.values())
def test_density_is_that_of_the_gaussians(shape, action):
    """-log q against a dense multivariate normal at v and, for an even action, at -v."""
    density = MeanField(Lattice(shape), action)
    volume = math.prod(shape)
    basis = torch.eye(volume, dtype=torch.float64).reshape(volume, *shape)
    precision = -Free(density.mass2).force(basis).reshape(volume, volume)
    centre = torch.full((volume,), density.v, dtype=torch.float64)
    phi, log_q = density.sample(50, torch.Generator().manual_seed(1))
    at = MultivariateNormal(centre, precision_matrix=precision).log_prob
    x = phi.flatten(1)
    expected = torch.logaddexp(at(x), at(-x)) - math.log(2) if action.even else at(x)
    torch.testing.assert_close(log_q, expected)
    torch.testing.assert_close(-density(phi), expected)


@ACTIONS
def test_score_is_the_gradient(action):
    density = MeanField(Lattice([3, 4]), action)
    phi = torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(density(phi).sum(), phi)
    torch.testing.assert_close(density.force(phi.detach()), -gradient)


@ACTIONS
def test_samples_have_its_moments(action):
    """E[score] = 0 and E[phi . score] = -V of any density: five sigma each, p = 6e-7."""
    density = MeanField(Lattice([4, 3]), action)
    phi, _ = density.sample(20_000, torch.Generator().manual_seed(2))
    score = density.force(phi)
    for values, expected in (
        (score.flatten(1).sum(1), 0.0),
        ((phi * score).flatten(1).sum(1), -12.0),
    ):
        error = values.std() / len(values) ** 0.5
        assert abs(values.mean() - expected) < 5 * error
    both_signs = phi.flatten(1).mean(1).sign().mean().abs() < 0.1
    assert both_signs == action.even


@pytest.mark.parametrize("shape", SHAPES.values())
@pytest.mark.parametrize(("m2", "lam"), [(-4.0, 2.0), (1.0, 0.5), (-4.0, 8.0)])
def test_gap_equations(shape, m2, lam):
    """Stationary: mass2 = m2 + 6 lam (v^2 + sigma^2) and v (m2 + 2 lam v^2 + 6 lam sigma^2) = 0."""
    lattice = Lattice(shape)
    density = MeanField(lattice, Phi4(m2, lam))
    v2, sigma2 = density.v**2, (0.5 / (lattice.khat2() + density.mass2)).mean().item()
    assert density.mass2 == pytest.approx(m2 + 6 * lam * (v2 + sigma2), abs=1e-3)
    assert density.v * (m2 + 2 * lam * v2 + 6 * lam * sigma2) == pytest.approx(0, abs=1e-3)


def test_an_ordered_phase_has_two_modes():
    assert MeanField(Lattice([4, 4]), ORDERED).v == pytest.approx(0.9, abs=0.1)
    assert MeanField(Lattice([4, 4]), Phi4(1.0, 0.5)).v == pytest.approx(0, abs=1e-6)
    # V = m2 phi^2 + lam phi^4 + h phi: the minimum opposite to the field
    assert MeanField(Lattice([4, 4]), Tilted(-4.0, 2.0, 0.3)).v == pytest.approx(-0.9, abs=0.1)


def test_the_free_theory_is_its_own_mean_field():
    density = MeanField(Lattice([5, 4]), Free(0.7))
    assert density.v == pytest.approx(0, abs=1e-6)
    assert density.mass2 == pytest.approx(0.7, abs=1e-6)
