"""The score that a bijection carries along, against that by its inverse and by autograd."""

import math

import pytest
import torch

from flowlat.archs import combconv, continuous
from flowlat.bijections import Bijection, Continuous
from flowlat.flows.calibration import set_steps
from flowlat.flows.flow import Flow, PushforwardFlow, SymmetrizedFlow
from flowlat.lattice import Lattice
from flowlat.priors import Normal
from tests.support.helpers import moved


@pytest.mark.parametrize("odd", [True, False])
@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4), (2, 2, 2, 3)])
def test_the_score_by_the_solver_is_that_by_the_inverse(shape, odd):
    """To the error of the solver, which falls with the fourth power of the steps."""
    solver = moved(Continuous(Lattice(shape), 4, 2, odd))
    x, score = torch.randn(2, 3, *shape, dtype=torch.float64)
    exact = moved(Continuous(Lattice(shape), 40, 2, odd)).eval()
    y, log_det, expected = Bijection.with_score(exact, x, score)
    found = exact.with_score(x, score)
    torch.testing.assert_close(found, (y, log_det, expected), rtol=1e-9, atol=1e-9)
    assert (expected - score).norm() > 0.05 * score.norm()
    errors = []
    for solver.n_steps in (4, 16):
        errors.append((solver.with_score(x, score)[2] - expected).norm().item())
    assert math.log(errors[0] / errors[1], 4) == pytest.approx(4, abs=0.8)


def test_what_it_returns_has_the_gradients_of_the_forward():
    solver = moved(Continuous(Lattice((3, 4)), 4, 2, odd=True))
    x, score = torch.randn(2, 3, 3, 4, dtype=torch.float64)
    gradients = []
    for y, log_det, *rest in (solver(x), solver.with_score(x, score)):
        loss = (y * score).sum() + log_det.sum()
        gradients.append(torch.autograd.grad(loss, list(solver.parameters())))
        assert not any(r.requires_grad for r in rest)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("symmetrized", [False, True])
@pytest.mark.parametrize("recompute", [False, True])
def test_the_score_of_a_flow(symmetrized, recompute):
    lattice = Lattice((4, 4))
    flows = [
        continuous(lattice, equivariant=not symmetrized),
        combconv(lattice, k=1, n_couplings=2),
    ]
    flows[-1].recompute = recompute
    for bijection in flows:
        flow: Flow = PushforwardFlow(Normal(lattice), moved(bijection, 0.05)).double().eval()
        if symmetrized:
            flow = SymmetrizedFlow(flow)
        set_steps(flow, 4)  # or the score of the inverse differs by as much as the inverse
        noise = flow.noise(5, torch.Generator().manual_seed(2))
        phi, log_q, score = flow.with_score(noise)
        torch.testing.assert_close((phi, log_q), flow(noise))
        phi = phi.detach().requires_grad_()
        (expected,) = torch.autograd.grad(flow.log_prob(phi).sum(), phi)
        torch.testing.assert_close(score, expected, rtol=1e-6, atol=1e-6)
        assert all(parameter.requires_grad for parameter in flow.parameters())
