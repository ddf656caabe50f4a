"""phi -> -phi: equivariant couplings, even densities, and the exact symmetrisation of any flow."""

import math

import pytest
import torch

from flowlat.flows.flow import SymmetrizedFlow
from tests.support.helpers import DIMENSIONS, least_dimension, moved_flow, options, overrides

PAIRS = [(d, a) for a in options("arch") for d in DIMENSIONS if d >= least_dimension(a)]
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
