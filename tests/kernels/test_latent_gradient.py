"""HMC in the noise: value and gradient of S(f(z)) - log|det f'(z)| by the fused solver."""

import pytest
import torch

from flowlat.actions import Phi4
from flowlat.archs import continuous
from flowlat.kernels import available_kernels
from flowlat.lattice import Lattice
from tests.support.helpers import moved

pytestmark = pytest.mark.skipif("cpu" not in available_kernels(), reason="needs a C++ compiler")


@pytest.mark.parametrize("odd", [True, False])
@pytest.mark.parametrize("shape", [(6,), (4, 4), (2, 3, 4), (2, 2, 2, 3)])
def test_by_plain_pytorch_and_by_finite_differences(shape, odd, monkeypatch):
    bijection = moved(continuous(Lattice(shape), 2, 2, equivariant=odd)).eval()
    bijection.requires_grad_(False)
    action = Phi4(-1.0, 1.5)
    z = torch.randn(3, *shape, dtype=torch.float64, requires_grad=True)

    def latent_action(z):
        phi, log_det = bijection(z)
        return action(phi) - log_det

    def with_gradient():
        value = latent_action(z)
        return value, torch.autograd.grad(value.sum(), z)[0]

    assert torch.autograd.gradcheck(latent_action, z, fast_mode=True)
    found = with_gradient()
    calls = []
    monkeypatch.setattr("flowlat.bijections.continuous.solves", lambda *_: calls.append(1))
    torch.testing.assert_close(found, with_gradient(), rtol=1e-9, atol=1e-10)
    assert calls  # that was plain PyTorch
