"""Flows against exact results: the free theory, the transfer matrix, Schwinger-Dyson."""

import math

import pytest
import torch

from flowlat import build_flow, compose
from flowlat.actions import Free, Phi4
from flowlat.analysis.importance import ess, log_z
from flowlat.flows.proposals import proposals
from flowlat.objectives import path_gradient, reverse_kl
from flowlat.utils.rng import Stream
from tests.support.helpers import DIMENSIONS, gradient, moved_flow, overrides
from tests.support.transfer_matrix import chain


@pytest.mark.parametrize("d", DIMENSIONS)
def test_a_flow_that_is_exact(d):
    """The free theory by its own prior and identity couplings: nothing is left to learn.

    At m2 = 1 the mass and the momenta of these lattices are exact even in float32.
    """
    flow = build_flow(compose(overrides(d, "arch=combconv_k1", "action=free"))).double().eval()
    for name, parameter in flow.named_parameters():
        if name.startswith("bijection"):
            parameter.data.zero_()
    action = Free(1.0)
    (batch,) = proposals(flow, action, 256, 256, 0, Stream.FINAL)
    assert ess(batch.log_weight) == pytest.approx(1, abs=1e-12)
    value, error = log_z(batch.log_weight)
    assert value == pytest.approx(action.log_z(flow.lattice), abs=1e-10)
    assert error < 1e-7
    # no variance at q = p, where the plain estimator is all noise
    assert gradient(path_gradient, flow, action, flow.noise(8)).abs().max() < 1e-10
    assert gradient(reverse_kl, flow, action, flow.noise(8)).abs().max() > 1e-2


@pytest.mark.parametrize(("m2", "lam"), [(1.0, 0.5), (-4.0, 1.4)])
def test_a_chain_that_is_exact(m2, lam):
    """The interacting theory in d = 1 by its own prior, kinks and all: the same."""
    names = ["arch=continuous", "prior=transfer_matrix", f"action.m2={m2}", f"action.lam={lam}"]
    flow, action = build_flow(compose(overrides(1, *names))).double().eval(), Phi4(m2, lam)
    (batch,) = proposals(flow, action, 256, 256, 0, Stream.FINAL)
    assert ess(batch.log_weight) == pytest.approx(1, abs=1e-12)
    value, error = log_z(batch.log_weight)
    assert value == pytest.approx(chain(m2, lam, length=6)[0], abs=1e-9)
    assert error < 1e-7
    assert gradient(path_gradient, flow, action, flow.noise(8)).abs().max() < 1e-10
    assert gradient(reverse_kl, flow, action, flow.noise(8)).abs().max() > 1e-2


def weighed(flow, action, n=50_000):
    """phi and log w of many proposals."""
    batches = list(proposals(flow, action, n, 25_000, 1, Stream.FINAL))
    return torch.cat([b.phi for b in batches]), torch.cat([b.log_weight for b in batches])


def assert_average(values, log_w, exact):
    """The reweighted mean within five of its delta-method errors, p = 6e-7."""
    w = torch.softmax(log_w, 0)
    mean = w @ values
    error = (w * (values - mean)).norm()
    assert error < 0.05
    assert abs(mean - exact) < 5 * error


def imperfect_flow(d, *names):
    """Of middling quality for a theory near m2 = 1: weights that matter, and not too much."""
    flow = moved_flow(*overrides(d, "arch=combconv_k1", "prior=free_field", *names))
    with torch.no_grad():
        for parameter in flow.bijection.parameters():
            parameter.mul_(0.2)
        flow.prior.spectrum.coefficients.mul_(0.2)
        flow.prior.log_mass2.fill_(0.5)
    return flow


@pytest.mark.parametrize("d", DIMENSIONS)
def test_schwinger_dyson(d):
    """< phi(x) dS/dphi(y) > = delta_xy, averaged over x at y = x and at y = x + 2 mu."""
    flow, action = imperfect_flow(d), Phi4(1.0, 0.5)
    phi, log_w = weighed(flow, action)
    assert 0.02 < ess(log_w) < 0.95
    slope = -action.force(phi)
    assert_average((phi * slope).flatten(1).mean(1), log_w, 1)
    axis = phi.shape.index(max(phi.shape[1:]), 1)
    assert_average((phi * slope.roll(2, axis)).flatten(1).mean(1), log_w, 0)


@pytest.mark.parametrize(("m2", "lam"), [(1.0, 0.5), (-1.0, 1.5), (1.0, 0.0)])
def test_the_interacting_chain_is_that_of_the_transfer_matrix(m2, lam):
    """log Z and <phi^2> in d = 1, five sigma each (p = 6e-7)."""
    flow, action = imperfect_flow(1), Phi4(m2, lam)
    phi, log_w = weighed(flow, action)
    exact_log_z, exact_phi2 = chain(m2, lam, length=6)
    assert 0.02 < ess(log_w) < 0.95
    value, error = log_z(log_w)
    assert error < 0.05
    assert abs(value - exact_log_z) < 5 * error
    assert_average((phi**2).mean(1), log_w, exact_phi2)


def test_one_mode_of_an_ordered_chain_is_short_by_log_two():
    """And the symmetrised flow is not: log Z within five sigma (p = 6e-7).

    The wells are deep: configurations in both of them at once weigh exp(-16), walls included.
    """
    names = ["arch=combconv_k1", "prior.mass2=16", "prior.shift=1.4", "symmetrize=true"]
    flow = build_flow(compose(overrides(1, *names, "arch.equivariant=false"))).double()
    action = Phi4(-8.0, 2.0)
    exact, _ = chain(-8.0, 2.0, length=6)
    for density, expected in ((flow, exact), (flow.flow, exact - math.log(2))):
        value, error = log_z(weighed(density, action, 50_000)[1])
        assert error < 0.02
        assert abs(value - expected) < 5 * error
