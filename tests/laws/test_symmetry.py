"""phi -> -phi: equivariant couplings, even densities, and the exact symmetrisation of any flow."""

import math

import pytest
import torch

from flowlat.flows.flow import SymmetrizedFlow
from tests.support.helpers import (
    DIMENSIONS,
    equivariances,
    least_dimension,
    moved_flow,
    options,
    overrides,
)

CLAIMED = [arch for arch in options("arch") if equivariances(arch)]
PAIRS = [(d, arch) for arch in CLAIMED for d in DIMENSIONS if d >= least_dimension(arch)]
close = {"rtol": 1e-9, "atol": 1e-9}


@pytest.mark.parametrize(("d", "arch"), PAIRS)
@pytest.mark.parametrize("prior", ["normal", "free_field"])
def test_equivariant_flows_are_odd_and_their_densities_even(d, arch, prior):
    names = overrides(d, f"arch={arch}", f"prior={prior}")
    flow = moved_flow(*names, "arch.equivariant=true")
    z = flow.noise(4)
    phi, log_q = flow(z)
    minus, log_q_minus = flow(-z)
    torch.testing.assert_close(minus, -phi, rtol=0, atol=1e-10)
    torch.testing.assert_close(log_q_minus, log_q, **close)
    torch.testing.assert_close(flow.log_prob(-phi), flow.log_prob(phi), **close)
    plain = moved_flow(*names, "arch.equivariant=false")
    assert (plain.log_prob(-phi) - plain.log_prob(phi)).abs().max() > 1e-3


@pytest.fixture(params=DIMENSIONS)
def symmetrized(request):
    names = overrides(request.param, "arch=combconv_k1", "arch.equivariant=false")
    flow = moved_flow(*names, "prior=free_field", "prior.shift=0.5", "symmetrize=true")
    assert isinstance(flow, SymmetrizedFlow)
    return flow


def test_symmetrized_density_is_the_even_mixture(symmetrized):
    phi, log_q = symmetrized.sample(64)
    inner = symmetrized.flow
    expected = torch.logaddexp(inner.log_prob(phi), inner.log_prob(-phi)) - math.log(2)
    assert (inner.log_prob(phi) - inner.log_prob(-phi)).abs().min() > 1e-3
    torch.testing.assert_close(log_q, expected, **close)
    torch.testing.assert_close(symmetrized.log_prob(phi), log_q, **close)
    torch.testing.assert_close(symmetrized.log_prob(-phi), log_q, **close)


def test_symmetrized_samples_have_either_sign(symmetrized):
    """Fair coins: 60 of 200 or fewer have a chance of 1e-8."""
    one_sided, _ = symmetrized(symmetrized.noise(200, torch.Generator().manual_seed(3)))
    phi, _ = symmetrized.sample(200, torch.Generator().manual_seed(3))
    kept = (phi == one_sided).flatten(1).all(1)
    turned = (phi == -one_sided).flatten(1).all(1)
    assert (kept | turned).all()
    assert 60 < kept.sum() < 140


def gradients(flow, loss):
    return torch.autograd.grad(loss, [p for p in flow.parameters() if p.requires_grad])


@pytest.mark.parametrize("sign", [1, -1])
def test_gradients_are_those_of_the_even_mixture(symmetrized, sign):
    """Also where the mirror image has most of the density, and where neither is negligible."""
    inner = symmetrized.flow
    with torch.no_grad():
        phi = sign * symmetrized(symmetrized.noise(64, torch.Generator().manual_seed(3)))[0]
    phi.requires_grad_()
    both = inner.log_prob(phi), inner.log_prob(-phi)
    expected = (torch.logaddexp(*both) - math.log(2)).sum()
    value = symmetrized.log_prob(phi).sum()
    torch.testing.assert_close(value, expected, **close)
    for wanted in (phi, *[p for p in inner.parameters() if p.requires_grad]):
        pairs = [torch.autograd.grad(v, wanted, retain_graph=True)[0] for v in (value, expected)]
        torch.testing.assert_close(*pairs, rtol=1e-6, atol=1e-6)


def test_a_mirror_image_that_overflows_has_no_density():
    """Deep in an ordered phase couplings stretch what they never saw beyond all bounds."""
    names = ("lattice.shape=[4,4]", "arch=conv", "arch.equivariant=false")
    flow = moved_flow(*names, "prior.shift=2", "symmetrize=true").float()
    inner, exploded = flow.flow, SymmetrizedFlow(flow.flow)

    class Exploding(torch.nn.Module):
        """Overflows at a negative mean."""

        def forward(self, phi):
            return torch.where(phi.mean((1, 2)) < 0, phi.mean((1, 2)) * torch.inf, 0.0)

    bomb, plain = Exploding(), inner.log_prob
    inner.log_prob = lambda phi: plain(phi) + bomb(phi) * phi.sum((1, 2))
    noise = inner.noise(16, torch.Generator().manual_seed(1))
    phi, log_q = exploded(noise)
    assert (phi.mean((1, 2)) > 0).all()
    assert not inner.log_prob(-phi).isfinite().any()
    torch.testing.assert_close(log_q, inner(noise)[1] - math.log(2))
    sample = phi.detach().requires_grad_()
    for loss in (log_q.sum(), exploded.log_prob(sample).sum(), exploded.log_prob(-sample).sum()):
        assert all(g.isfinite().all() for g in gradients(exploded, loss))
    torch.testing.assert_close(exploded.log_prob(-sample), exploded.log_prob(sample))


def test_a_mirror_image_is_not_learnt_from():
    """Batch normalisation takes its running means from what has gradients alone."""
    names = ("lattice.shape=[4,4]", "arch=conv", "arch.equivariant=false", "arch.batch_norm=true")
    flow = moved_flow(*names, "prior.shift=2", "symmetrize=true").train()
    inner = flow.flow
    norms = [m for m in flow.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    inner.log_prob(inner.noise(8, torch.Generator().manual_seed(1)) + 2)
    means = [norm.running_mean.clone() for norm in norms]
    flow._known(inner.noise(8, torch.Generator().manual_seed(1)) - 2)
    assert all(torch.equal(m, norm.running_mean) for m, norm in zip(means, norms, strict=True))
    assert all(norm.track_running_stats for norm in norms)
