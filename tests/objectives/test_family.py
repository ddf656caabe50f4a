import pytest
import torch

from flowlat import compose
from flowlat.actions import Phi4
from flowlat.config.build import build_family
from flowlat.objectives import FamilyObjective, path_gradient, reverse_kl
from tests.flows.test_family import family_of

M2, LAM = -4.0, 5.3
COUPLINGS = torch.tensor([M2, LAM], dtype=torch.float64)


def gradient_in_w(family, objective, noise):
    """By one graph from W to the loss: the slow way, through a functional call of the flow."""
    theta = family.parameters_at(M2, LAM)
    flow = family.working(noise.shape[1:])
    result = {}

    class Loss(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.flow = flow

        def forward(self, noise):
            result["loss"], result["log_w"] = objective(self.flow, Phi4(M2, LAM), noise)
            return result["loss"]

    named = {f"flow.{name}": value for name, value in theta.items()}
    loss = torch.func.functional_call(Loss(), named, (noise,))
    return loss, torch.autograd.grad(loss, list(family.parameters()), materialize_grads=True)


@pytest.mark.parametrize("arch", ["conv", "continuous"])
def test_the_gradient_is_that_through_the_sum_over_the_basis(arch):
    family = family_of(f"arch={arch}").double().train()
    noise = family.working((6, 4)).noise(5, torch.Generator().manual_seed(3))
    loss, log_w = FamilyObjective(reverse_kl)(family, Phi4, noise, COUPLINGS)
    loss.backward()
    expected, gradients = gradient_in_w(family, reverse_kl, noise)
    torch.testing.assert_close(loss, expected)
    assert any(gradient.abs().max() > 1e-3 for gradient in gradients)
    for weight, gradient in zip(family.parameters(), gradients, strict=True):
        torch.testing.assert_close(weight.grad, gradient, rtol=1e-6, atol=1e-9)
    assert not log_w.requires_grad


@pytest.mark.parametrize("shape", [(4, 4), (8, 6)])
def test_the_log_weights_are_those_of_the_flow_but_for_log_z_in_units_of_the_volume(shape):
    family = family_of().train()
    flow = family.set(family.parameters_at(M2, LAM), M2, LAM, shape)
    noise = flow.noise(16, torch.Generator().manual_seed(3))
    _, expected = path_gradient(flow, Phi4(M2, LAM), noise)
    _, log_w = FamilyObjective(path_gradient)(family, Phi4, noise, COUPLINGS)
    log_w = log_w * noise[0].numel() / family.smallest.volume
    torch.testing.assert_close(log_w - log_w[0], (expected - expected[0]).to(log_w.dtype))
    assert log_w.exp().mean().item() == pytest.approx(1, abs=1e-5)
    assert -log_w.mean() > 0  # an estimate of the KL divergence


def test_each_point_has_its_own_gradient():
    family = build_family(compose(["family=phi4_2d", "family.shapes=[[4,4]]"])).train()
    noise = family.working((4, 4)).noise(8, torch.Generator().manual_seed(0))
    gradients = []
    for couplings in (COUPLINGS, torch.tensor([-4.0, 9.0])):
        family.zero_grad()
        FamilyObjective(path_gradient)(family, Phi4, noise, couplings)[0].backward()
        gradients.append(family.coefficients["prior/log_mass2"].grad)
    for gradient, couplings in zip(gradients, (COUPLINGS, [-4.0, 9.0]), strict=True):
        basis = family.domain.basis(*map(float, couplings)).float()
        torch.testing.assert_close(gradient, gradient[0] * basis, rtol=1e-4, atol=1e-7)
    assert not torch.allclose(*gradients)
