"""What every prior and every architecture has to obey, in every dimension it supports."""

import math

import pytest
import torch
from torch.autograd.functional import jacobian

from flowlat import build_flow, compose
from flowlat.actions import Phi4
from flowlat.errors import ConfigError
from flowlat.flow import SymmetrizedFlow
from flowlat.objectives import path_gradient
from tests.helpers import moved_flow, options, overrides

ARCHS = options("arch")
PRIORS = options("prior")
DIMENSIONS = (1, 2, 3, 4)


def least_dimension(arch: str) -> int:
    k = compose([f"arch={arch}"] if not arch.endswith("k3") else ["lattice=3d", f"arch={arch}"])
    return k.arch.get("k") or 1


SUPPORTED = [(d, arch) for arch in ARCHS for d in DIMENSIONS if d >= least_dimension(arch)]
UNSUPPORTED = [(d, arch) for arch in ARCHS for d in DIMENSIONS if d < least_dimension(arch)]


@pytest.fixture(params=SUPPORTED, ids=lambda p: f"{p[0]}d-{p[1]}")
def flow(request):
    d, arch = request.param
    return moved_flow(*overrides(d, f"arch={arch}", "prior=normal"))


def test_there_are_options():
    assert {"conv", "combconv_k1", "combconv_k2", "combconv_k3"} <= set(ARCHS)
    assert {"normal", "free_field", "potential"} <= set(PRIORS)


@pytest.mark.parametrize(("d", "arch"), UNSUPPORTED)
def test_an_impossible_pair_is_one_clear_line(d, arch):
    with pytest.raises(ConfigError, match=f"k=. exceeds the lattice dimension d={d}") as caught:
        build_flow(compose(overrides(d, f"arch={arch}")))
    assert "\n" not in str(caught.value)


def test_inverse_undoes_forward(flow):
    z = flow.noise(5)
    phi, log_det = flow.bijection(z)
    back, log_det_back = flow.bijection.inverse(phi)
    assert (phi - z).abs().max() > 0.1
    torch.testing.assert_close(back, z, rtol=0, atol=1e-10)
    torch.testing.assert_close(log_det_back, -log_det, rtol=0, atol=1e-10)


def test_log_det_is_the_jacobian(flow):
    z = flow.noise(1)
    matrix = jacobian(lambda x: flow.bijection(x)[0], z).reshape(z.numel(), z.numel())
    expected = torch.linalg.slogdet(matrix).logabsdet
    assert expected.abs() > 1e-3
    torch.testing.assert_close(flow.bijection(z)[1][0], expected, rtol=1e-9, atol=1e-9)


def test_log_prob_is_what_sampling_says(flow):
    phi, log_q = flow.sample(4)
    torch.testing.assert_close(flow.log_prob(phi), log_q, rtol=1e-10, atol=1e-9)


def test_translation_by_two_sites(flow):
    z = flow.noise(3)
    phi, log_det = flow.bijection(z)
    for axis in range(1, z.dim()):
        shifted, log_det_shifted = flow.bijection(z.roll(2, axis))
        torch.testing.assert_close(shifted, phi.roll(2, axis), rtol=0, atol=1e-11)
        torch.testing.assert_close(log_det_shifted, log_det, rtol=0, atol=1e-10)


def test_frozen_sites_stay(flow):
    coupling = flow.bijection.bijections[0]
    z = flow.noise(3)
    phi, _ = coupling(z)
    frozen = coupling.frozen.bool()
    torch.testing.assert_close(phi[:, frozen], z[:, frozen], rtol=0, atol=0)
    assert (phi[:, ~frozen] - z[:, ~frozen]).abs().max() > 0.01


def test_dtype_and_state_are_kept(flow, tmp_path):
    torch.save(flow.state_dict(), tmp_path / "weights.pt")
    phi, log_q = flow.sample(2, torch.Generator().manual_seed(1))
    for parameter in flow.parameters():
        parameter.data.zero_()
    flow.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    again, log_q_again = flow.sample(2, torch.Generator().manual_seed(1))
    assert torch.equal(phi, again)
    assert torch.equal(log_q, log_q_again)
    single, log_q_single = flow.float().sample(2)
    assert single.dtype == log_q_single.dtype == torch.float32


@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("arch", ["conv", "combconv_k1"])
def test_equivariant_couplings_commute_with_the_sign(d, arch):
    flow = moved_flow(*overrides(d, f"arch={arch}", "arch.equivariant=true", "prior=free_field"))
    z = flow.noise(4)
    phi, log_q = flow(z)
    minus, log_q_minus = flow(-z)
    torch.testing.assert_close(minus, -phi, rtol=0, atol=1e-11)
    torch.testing.assert_close(log_q_minus, log_q, rtol=0, atol=1e-10)
    names = overrides(d, f"arch={arch}", "arch.equivariant=false", "prior=free_field")
    plain = moved_flow(*names)
    assert (plain(-z)[0] + plain(z)[0]).abs().max() > 1e-3


def test_batch_normalisation_is_invertible_in_evaluation():
    flow = moved_flow(*overrides(2, "arch.batch_norm=true", "arch=combconv_k1"))
    flow.train()
    flow.rsample(64)
    flow.eval()
    phi, log_q = flow.sample(3)
    torch.testing.assert_close(flow.log_prob(phi), log_q, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_symmetrized_density(d):
    flow = moved_flow(*overrides(d, "arch=combconv_k1", "symmetrize=true", "prior.shift=0.5"))
    assert isinstance(flow, SymmetrizedFlow)
    phi, log_q = flow.sample(64)
    torch.testing.assert_close(flow.log_prob(phi), log_q, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(flow.log_prob(-phi), log_q, rtol=1e-9, atol=1e-9)
    inner = flow.flow
    expected = torch.logaddexp(inner.log_prob(phi), inner.log_prob(-phi)) - math.log(2)
    torch.testing.assert_close(log_q, expected, rtol=1e-9, atol=1e-9)
    # the signs are fair coins: 64 of one kind have a chance of 2^-63
    noise = flow.noise(64, torch.Generator().manual_seed(3))
    signed, _ = flow.sample(64, torch.Generator().manual_seed(3))
    flipped = (signed - flow(noise)[0]).flatten(1).abs().amax(1) > 1e-9
    assert 0 < flipped.sum() < 64


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("d", DIMENSIONS)
def test_prior_agrees_with_itself(prior, d):
    flow = moved_flow(*overrides(d, f"prior={prior}", "arch=combconv_k1"))
    z, log_r = flow.prior(flow.prior.noise(6))
    assert z.shape == (6, *flow.lattice.shape)
    assert log_r.shape == (6,)
    torch.testing.assert_close(flow.prior.log_prob(z), log_r, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("prior", PRIORS)
def test_prior_density_integrates_to_one(prior):
    """Importance sampling from a wide Gaussian on two sites; p = 6e-7 (five sigma)."""
    flow = moved_flow(
        "lattice=1d", "lattice.shape=[2]", f"prior={prior}", "action.m2=1", "arch=combconv_k1"
    )
    x = 2 * torch.randn(200_000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    log_wide = torch.distributions.Normal(0.0, 2.0).log_prob(x).sum(1)
    weights = (flow.prior.log_prob(x) - log_wide).exp()
    error = weights.std() / len(x) ** 0.5
    assert error < 0.02
    assert abs(weights.mean() - 1) < 5 * error


def test_recomputation_changes_nothing():
    names = overrides(2, "arch=combconv_k1", "prior=free_field")
    gradients = []
    for recompute in ("false", "true"):
        flow = moved_flow(*names, f"arch.recompute={recompute}")
        loss, _ = path_gradient(
            flow, Phi4(-1.0, 2.0), flow.noise(8, torch.Generator().manual_seed(1))
        )
        loss.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in flow.parameters()]))
    assert torch.equal(*gradients)
