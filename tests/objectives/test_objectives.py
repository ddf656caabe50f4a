"""Estimators of the KL divergences: what they are by hand, and that they agree on average."""

import pytest
import torch

from flowlat.actions import Phi4
from flowlat.objectives import ForwardKL, Mixture, path_gradient, reverse_kl
from tests.support.helpers import gradient, moved_flow

ACTION = Phi4(-1.0, 2.0)
SMALL = ("lattice=1d", "lattice.shape=[4]", "arch=combconv_k1", "arch.hidden=[4]")
KINDS = {
    "equivariant": (),
    "plain": ("arch.equivariant=false",),
    "symmetrized": ("arch.equivariant=false", "prior.shift=0.3", "symmetrize=true"),
}


@pytest.fixture(params=KINDS)
def flow(request):
    return moved_flow(*SMALL, *KINDS[request.param])


def test_reverse_kl_is_the_mean_of_log_q_plus_action(flow):
    noise = flow.noise(16)
    loss, log_w = reverse_kl(flow, ACTION, noise)
    phi, log_q = flow(noise)
    torch.testing.assert_close(loss, (log_q + ACTION(phi)).mean())
    torch.testing.assert_close(log_w, -(log_q + ACTION(phi)).detach())
    assert not log_w.requires_grad


def test_path_gradient_is_the_total_derivative_without_the_score(flow):
    """grad KL = path + mean score, exactly, batch by batch."""
    noise = flow.noise(32)
    total = gradient(reverse_kl, flow, ACTION, noise)
    path = gradient(path_gradient, flow, ACTION, noise)
    flow.zero_grad()
    flow.log_prob(flow(noise)[0].detach()).mean().backward()
    score = torch.cat([p.grad.flatten() for p in flow.parameters()])
    assert score.norm() > 1e-3
    torch.testing.assert_close(path + score, total, rtol=1e-7, atol=1e-8)
    log_w = [objective(flow, ACTION, noise)[1] for objective in (path_gradient, reverse_kl)]
    torch.testing.assert_close(*log_w)


def test_both_estimators_have_the_same_mean(flow):
    """Along the gradient itself, from 50 batches of 250, within 6 sigma.

    p = 2e-7 for Student's t with 49 degrees of freedom.
    """
    generator = torch.Generator().manual_seed(1)
    along = gradient(path_gradient, flow, ACTION, flow.noise(5000, generator))
    along /= along.norm()
    differences, slopes = [], []
    for _ in range(50):
        noise = flow.noise(250, generator)
        path = gradient(path_gradient, flow, ACTION, noise) @ along
        differences.append(gradient(reverse_kl, flow, ACTION, noise) @ along - path)
        slopes.append(path)
    difference = torch.stack(differences)
    error = difference.std() / 50**0.5
    assert torch.stack(slopes).mean() > 20 * error  # so that it means something
    assert abs(difference.mean()) < 6 * error


def test_parameters_stay_learnable(flow):
    path_gradient(flow, ACTION, flow.noise(2))
    assert all(p.requires_grad for p in flow.parameters())


def test_forward_kl_is_the_mean_of_minus_log_q(flow):
    noise, phi = flow.noise(16), torch.randn(12, 4, dtype=torch.float64)
    loss, log_w = ForwardKL("any")(flow, ACTION, noise, phi)
    torch.testing.assert_close(loss, -flow.log_prob(phi).mean())
    torch.testing.assert_close(log_w, reverse_kl(flow, ACTION, noise)[1])
    assert not log_w.requires_grad


@pytest.mark.parametrize("weight", [0.2, 0.9])
def test_the_mixture_has_the_gradient_of_both(flow, weight):
    noise, phi = flow.noise(16), torch.randn(12, 4, dtype=torch.float64)

    def found(objective, *batch):
        return gradient(lambda f, a, n: objective(f, a, n, *batch), flow, ACTION, noise)

    forward, reverse = found(ForwardKL("any"), phi), found(path_gradient)
    mixed = found(Mixture("any", weight), phi)
    torch.testing.assert_close(mixed, weight * forward + (1 - weight) * reverse)
    assert (forward - reverse).norm() > 0.1 * mixed.norm()
    log_w = Mixture("any")(flow, ACTION, noise, phi)[1]
    torch.testing.assert_close(log_w, path_gradient(flow, ACTION, noise)[1])
