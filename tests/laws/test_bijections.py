"""What the couplings of every architecture obey, in every dimension that it supports."""

import pytest
import torch
from torch.autograd.functional import jacobian

from flowlat import build_flow, compose
from flowlat.actions import Phi4
from flowlat.bijections import Checkerboard
from flowlat.objectives import reverse_kl
from flowlat.utils.errors import ConfigError
from tests.support.helpers import (
    DIMENSIONS,
    equivariances,
    gradient,
    keys,
    least_dimension,
    moved_flow,
    options,
    overrides,
    tolerance,
)

ARCHS = options("arch")
SUPPORTED = [(d, arch) for arch in ARCHS for d in DIMENSIONS if d >= least_dimension(arch)]
UNSUPPORTED = [(d, arch) for arch in ARCHS for d in DIMENSIONS if d < least_dimension(arch)]

#: options of the nets, tried on one of them
VARIANTS = (
    "arch.activation=gelu",
    "arch.activation_last=true",
    "arch.final_tanh=true",
    "arch.batch_norm=true",
    "arch.kernel_size=5",
    "arch.hidden=[3]",
    "arch.hidden=[]",
    "arch.recompute=true",
    "arch.n_couplings=1",
    "arch.block=1",
    "arch.block=null",
)
CASES = [
    *((d, arch, option) for d, arch in SUPPORTED for option in equivariances(arch) or [""]),
    *((2, "combconv_k1", variant) for variant in VARIANTS),
]


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(str, case)))
def flow(request):
    d, arch, option = request.param
    return moved_flow(*overrides(d, f"arch={arch}", "prior=normal", *filter(None, [option])))


def test_the_registry_is_found():
    assert {"conv", "combconv_k1", "combconv_k2", "combconv_k3"} <= set(ARCHS)
    assert len(UNSUPPORTED) == 1 + 2


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
    assert log_det.shape == (5,)
    torch.testing.assert_close(back, z, **tolerance(flow))
    torch.testing.assert_close(log_det_back, -log_det, **tolerance(flow))


def test_log_det_is_that_of_the_jacobian(flow):
    z = flow.noise(1)
    for direction in (flow.bijection, flow.bijection.inverse):
        matrix = jacobian(lambda x: direction(x)[0], z).reshape(z.numel(), z.numel())  # noqa: B023
        expected = torch.linalg.slogdet(matrix).logabsdet
        assert expected.abs() > 1e-3
        torch.testing.assert_close(direction(z)[1][0], expected, **tolerance(flow))


def test_log_prob_is_what_sampling_returned(flow):
    phi, log_q = flow.sample(4)
    torch.testing.assert_close(flow.log_prob(phi), log_q, **tolerance(flow))


def even_shifts(d):
    """Translations that keep the parity: two sites along an axis, one along each of two axes."""
    for axis in range(1, d + 1):
        yield (2,), (axis,)
        if axis > 1:
            yield (1, 1), (1, axis)
            yield (-1, 1), (1, axis)


def test_translations_that_keep_the_parity(flow):
    z = flow.noise(3)
    phi, log_det = flow.bijection(z)
    for steps, axes in even_shifts(z.dim() - 1):
        shifted, log_det_shifted = flow.bijection(z.roll(steps, axes))
        torch.testing.assert_close(shifted, phi.roll(steps, axes), rtol=0, atol=1e-10)
        torch.testing.assert_close(log_det_shifted, log_det, rtol=0, atol=1e-10)
    by_one = (flow.bijection(z.roll(1, 1))[0] - phi.roll(1, 1)).abs().max()
    assert by_one > 1e-3 if checkerboards_of(flow) else by_one < 1e-10


def checkerboards_of(flow):
    return [part for part in flow.modules() if isinstance(part, Checkerboard)]


def test_frozen_sites_stay(flow):
    if not checkerboards_of(flow):
        pytest.skip("no site is frozen")
    coupling = checkerboards_of(flow)[0]
    z = flow.noise(3)
    phi, _ = coupling(z)
    frozen = coupling.frozen.bool()
    assert frozen.sum() == z[0].numel() // 2
    assert torch.equal(phi[:, frozen], z[:, frozen])
    assert (phi - z)[:, ~frozen].abs().amax() > 0.01


def test_configurations_of_a_batch_do_not_feel_each_other(flow):
    z = flow.noise(3)
    phi, log_q = flow(z)
    for i in range(3):
        alone, log_q_alone = flow(z[i : i + 1])
        torch.testing.assert_close(alone, phi[i : i + 1], rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(log_q_alone, log_q[i : i + 1], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(flow, dtype):
    phi, log_q = flow.to(dtype).sample(2)
    assert phi.dtype == log_q.dtype == flow.log_prob(phi).dtype == dtype
    torch.testing.assert_close(flow.log_prob(phi), log_q, rtol=1e-3, atol=1e-3)


def test_weights_determine_the_flow(flow, tmp_path):
    torch.save(flow.state_dict(), tmp_path / "weights.pt")
    noise = flow.noise(2)
    before = flow(noise)
    for parameter in flow.parameters():
        parameter.data.zero_()
    assert not torch.equal(flow(noise)[0], before[0])
    flow.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert all(map(torch.equal, flow(noise), before))


@pytest.mark.parametrize(
    ("d", "arch", "option"),
    [(d, arch, option) for d, arch in SUPPORTED for option in equivariances(arch) or [""]],
)
def test_gradient_is_that_of_finite_differences(d, arch, option):
    """Along one random direction, through a smooth activation; and every parameter takes part."""
    smooth = "arch.activation=tanh" if "activation" in keys(arch) else ""
    names = overrides(d, f"arch={arch}", "prior=free_field", *filter(None, [option, smooth]))
    flow = moved_flow(*names)
    action, noise, step = Phi4(-1.0, 2.0), flow.noise(4), 1e-6
    found = gradient(reverse_kl, flow, action, noise)
    assert all(p.grad.norm() > 1e-9 for p in flow.parameters())
    direction = torch.randn_like(found)
    start = torch.nn.utils.parameters_to_vector(flow.parameters()).detach()

    def loss_at(shift):
        torch.nn.utils.vector_to_parameters(start + shift * direction, flow.parameters())
        return reverse_kl(flow, action, noise)[0].item()

    slope = (loss_at(step) - loss_at(-step)) / (2 * step)
    assert (found @ direction).item() == pytest.approx(slope, rel=1e-5, abs=1e-5)


def test_recomputation_changes_nothing():
    names = overrides(2, "arch=combconv_k1", "prior=free_field")
    flows = [moved_flow(*names, f"arch.recompute={flag}") for flag in ("false", "true")]
    noise = flows[0].noise(8)
    assert torch.equal(*(gradient(reverse_kl, f, Phi4(-1.0, 2.0), noise) for f in flows))


def test_running_statistics_of_batch_normalisation_are_used():
    flow = moved_flow(*overrides(2, "arch.batch_norm=true", "arch=combconv_k1"))
    noise = flow.noise(3)
    before, _ = flow(noise)
    flow.train()
    flow.rsample(64)
    flow.eval()
    phi, log_q = flow(noise)
    assert (phi - before).abs().max() > 1e-3
    torch.testing.assert_close(flow.log_prob(phi), log_q, rtol=1e-9, atol=1e-9)
