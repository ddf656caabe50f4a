import math

import pytest
import torch

from flowlat.actions import Phi4
from flowlat.observables import Configurations, EffectiveMass
from flowlat.observables.effective_mass import periodic_mass


def cosh(mass, period, amplitude=1.0):
    t = torch.arange(period, dtype=torch.float64)
    return amplitude * torch.cosh(mass * (t - period / 2))


@pytest.mark.parametrize("period", [2, 3, 4, 5, 8, 9, 64])
@pytest.mark.parametrize("mass", [1e-3, 0.1, 0.7, 3.0, 9.0])
def test_a_cosh_has_one_mass(mass, period):
    """From 0.001 on: the ratio of a smaller mass is 1 within the rounding, times 1e9."""
    found = periodic_mass(cosh(mass, period, 3.7))
    assert found.shape == (period // 2,)
    torch.testing.assert_close(found, torch.full_like(found, mass), rtol=1e-7, atol=0)
    connected = EffectiveMass(connected=True)
    shifted = torch.cat([cosh(mass, period) + 0.49, torch.tensor([0.7], dtype=torch.float64)])
    if mass * period < 30:
        torch.testing.assert_close(connected.derive(shifted), found, rtol=1e-6, atol=0)


def test_a_single_time_slice_has_no_mass():
    assert periodic_mass(torch.ones(1, dtype=torch.float64)).shape == (0,)


@pytest.mark.parametrize("period", [2, 5, 8, 9])
def test_the_gradient(period):
    """Against finite differences; it is what errors are propagated with."""
    full = (cosh(0.6, period) + 0.3 * cosh(1.4, period)).requires_grad_()
    assert torch.autograd.gradcheck(periodic_mass, full, eps=1e-7, atol=1e-6)


def test_noise_is_no_exception():
    """NaN where C(t) > C(t+1) > 0 fails, and only there: in the value and in the gradient."""
    full = torch.tensor([3.0, 2.0, 2.5, 0.5, -0.1, 0.5, 2.5, 2.0], dtype=torch.float64)
    found = periodic_mass(full)
    assert torch.isfinite(found).tolist() == [True, False, True, False]
    rows = torch.autograd.functional.jacobian(periodic_mass, full)
    assert torch.isfinite(rows[[0, 2]]).all()
    for bad in (torch.zeros(8), -torch.ones(8), torch.full((8,), math.nan), torch.ones(8)):
        assert torch.isnan(periodic_mass(bad.double())).all()


def test_the_equation_is_solved():
    """Each m(t) put back into the ratio of the two cosh."""
    full = torch.tensor([5.0, 3.1, 2.3, 1.8, 1.6, 1.8, 2.3, 3.1], dtype=torch.float64)
    for t, m in enumerate(periodic_mass(full).tolist()):
        assert m > 0
        ratio = math.cosh(m * (4 - t)) / math.cosh(m * (3 - t))
        assert ratio == pytest.approx((full[t] / full[t + 1]).item(), rel=1e-12)


def test_the_full_period_is_measured():
    phi = torch.randn(3, 4, 7, dtype=torch.float64)
    ensemble = Configurations(phi, Phi4(m2=1.0, lam=1.0))
    assert EffectiveMass().measure(ensemble).shape == (3, 7)
    assert EffectiveMass(connected=True).measure(ensemble).shape == (3, 8)
