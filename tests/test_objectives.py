"""Estimators of the reverse KL and what weights say, against exact results."""

import pytest
import torch

from flowlat import build_flow, compose
from flowlat.actions import Free, Phi4
from flowlat.evaluation import proposals
from flowlat.metrics import ess, log_z
from flowlat.objectives import path_gradient, reverse_kl
from flowlat.rng import Stream
from tests.helpers import moved_flow, overrides
from tests.truth import chain


def gradient(objective, flow, action, noise):
    flow.zero_grad()
    loss, log_w = objective(flow, action, noise)
    loss.backward()
    return torch.cat([p.grad.flatten() for p in flow.parameters()]), log_w


def small_flow():
    return moved_flow("lattice.shape=[4,4]", "arch=combconv_k1", "arch.n_couplings=2")


def test_reverse_kl_is_the_mean_of_log_q_plus_action():
    flow, action = small_flow(), Phi4(-1.0, 2.0)
    noise = flow.noise(16)
    loss, log_w = reverse_kl(flow, action, noise)
    phi, log_q = flow(noise)
    torch.testing.assert_close(loss, (log_q + action(phi)).mean())
    torch.testing.assert_close(log_w, -(log_q + action(phi)).detach())


def test_path_gradient_is_the_total_derivative_without_the_score():
    """grad KL = path + mean score, exactly, batch by batch."""
    flow, action = small_flow(), Phi4(-1.0, 2.0)
    noise = flow.noise(32)
    total, log_w = gradient(reverse_kl, flow, action, noise)
    path, log_w_path = gradient(path_gradient, flow, action, noise)
    flow.zero_grad()
    flow.log_prob(flow(noise)[0].detach()).mean().backward()
    score = torch.cat([p.grad.flatten() for p in flow.parameters()])
    assert score.norm() > 1e-3
    torch.testing.assert_close(path + score, total, rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(log_w, log_w_path)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_a_flow_that_is_exact(d):
    """The free theory by the free-field prior and identity couplings: nothing is left to learn."""
    names = overrides(d, "arch=combconv_k1", "action=free", "action.m2=0.7", "prior.mass2=0.7")
    flow = build_flow(compose([*names, "arch.n_couplings=2"])).double()
    for name, parameter in flow.named_parameters():
        if name.startswith("bijection"):
            parameter.data.zero_()
    action = Free(0.7)
    (batch,) = proposals(flow, action, 256, 256, 0, Stream.FINAL)
    assert ess(batch.log_weight) == pytest.approx(1, abs=1e-9)
    value, error = log_z(batch.log_weight)
    assert value == pytest.approx(action.log_z(flow.lattice), abs=1e-5)
    assert error < 1e-5
    path, _ = gradient(path_gradient, flow, action, flow.noise(8))
    total, _ = gradient(reverse_kl, flow, action, flow.noise(8))
    assert path.abs().max() < 1e-5  # no variance at q = p
    assert total.abs().max() > 1e-2  # while the plain estimator is all noise


@pytest.fixture(scope="module")
def weighed_chain():
    """200,000 weighed configurations of a 1-d interacting chain from an untrained flow."""
    names = ["lattice=1d", "lattice.shape=[6]", "arch=combconv_k1", "prior=potential"]
    flow = moved_flow(*names, "action.m2=-1", "action.lam=1.5").double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.mul_(0.3)
    return list(proposals(flow, Phi4(-1.0, 1.5), 200_000, 50_000, 1, Stream.FINAL))


def test_log_z_of_the_interacting_chain(weighed_chain):
    """Against the transfer matrix; p = 6e-7 (five sigma)."""
    value, error = log_z(torch.cat([b.log_weight for b in weighed_chain]))
    exact, _ = chain(-1.0, 1.5, 6)
    assert error < 0.02
    assert abs(value - exact) < 5 * error


def reweighted(weighed, observable):
    """Ratio estimate and its delta-method error."""
    log_w = torch.cat([b.log_weight for b in weighed])
    w = (log_w - log_w.max()).exp()
    values = torch.cat([observable(b.phi) for b in weighed])
    mean = (w * values).sum() / w.sum()
    error = ((w * (values - mean)) ** 2).sum().sqrt() / w.sum()
    return mean.item(), error.item()


def test_phi2_and_schwinger_dyson_on_the_interacting_chain(weighed_chain):
    """<phi^2> from the transfer matrix, <phi dS/dphi> = 1; p = 6e-7 each (five sigma)."""
    _, exact = chain(-1.0, 1.5, 6)
    value, error = reweighted(weighed_chain, lambda phi: (phi**2).mean(1))
    assert error < 0.02
    assert abs(value - exact) < 5 * error
    action = Phi4(-1.0, 1.5)
    value, error = reweighted(weighed_chain, lambda phi: -(phi * action.force(phi)).mean(1))
    assert error < 0.02
    assert abs(value - 1) < 5 * error
