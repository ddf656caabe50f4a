"""The density of any configuration, however it is given and however far it is."""

import numpy as np
import pytest
import torch

from flowlat import build_flow, compose
from tests.support.helpers import moved_flow

ARCHS = ("conv", "spline", "combconv_k1", "continuous")


def randomised(arch, spread, dtype=torch.float64):
    """A flow whose weights are far from the identity."""
    flow = build_flow(compose([f"arch={arch}", "lattice.shape=[4,4]"])).to(dtype).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in flow.parameters():
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            weight.add_(spread * noise.to(weight))
    return flow


@pytest.mark.parametrize("symmetrize", ["true", "false"])
def test_a_density_takes_arrays_of_any_real_numbers(symmetrize):
    flow = moved_flow("lattice.shape=[2,4]", f"symmetrize={symmetrize}", "arch.equivariant=false")
    phi = np.random.default_rng(0).normal(size=(5, 2, 4)).astype("f4")
    for own in (torch.float32, torch.float64):
        flow = flow.to(own)
        expected = flow.log_prob(torch.from_numpy(phi).to(own))
        assert expected.dtype == own
        given = [phi, phi.astype("f8"), phi.astype(">f4"), phi.tolist(), phi[::-1][::-1]]
        given += [torch.from_numpy(phi), torch.from_numpy(phi).double()]
        for fields in given:
            torch.testing.assert_close(flow.log_prob(fields), expected, rtol=0, atol=0)
    phi.flags.writeable = False
    flow.log_prob(phi)


def test_a_density_is_differentiable_in_a_field_of_another_precision():
    flow = moved_flow("lattice.shape=[2,4]").float()
    phi = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    (score,) = torch.autograd.grad(flow.log_prob(phi).sum(), phi)
    assert score.dtype == torch.float64
    assert score.abs().min() > 0


@pytest.mark.parametrize("shape", [(), (2,), (2, 4), (5, 4, 2), (5, 1, 2, 4), (5, 8)])
def test_fields_of_another_lattice_are_refused(shape):
    flow = moved_flow("lattice.shape=[2,4]")
    with pytest.raises(ValueError, match=r"not the shape \(n, \*\[2, 4\]\)"):
        flow.log_prob(torch.zeros(shape))


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("size", [3.0, 100.0])
def test_far_configurations_have_a_density_that_is_no_nan(arch, size):
    """Where single precision says zero, double precision finds less than it can hold."""
    if arch == "spline":
        pytest.importorskip("zuko")
    phi = size * torch.randn(64, 4, 4, generator=torch.Generator().manual_seed(2))
    exact = randomised(arch, 0.1).log_prob(phi)
    single = randomised(arch, 0.1, torch.float32).log_prob(phi)
    for log_q in (exact, single):
        assert not log_q.isnan().any()
        assert (log_q < 0).all()
    gone = single.isinf()
    assert (exact[gone] < torch.finfo(torch.float32).min / 1e3).all()
    if arch in ("conv", "spline") and size == 100.0:
        assert gone.any()


def test_what_is_no_configuration_has_no_density():
    flow = moved_flow("lattice.shape=[2,4]")
    phi = torch.zeros(2, 2, 4)
    phi[1, 0, 0] = torch.nan
    assert flow.log_prob(phi).isnan().tolist() == [False, True]
