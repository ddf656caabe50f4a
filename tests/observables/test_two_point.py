import pytest
import torch

from flowlat.actions import Phi4
from flowlat.observables import ConnectedSusceptibility, TwoPoint, TwoPointConnected
from flowlat.observables.base import Configurations
from flowlat.observables.two_point import correlator


def configurations(shape, batch=5):
    generator = torch.Generator().manual_seed(1)
    phi = torch.randn(batch, *shape, generator=generator, dtype=torch.float64) + 0.5
    return Configurations(phi, Phi4(m2=1.0, lam=1.0))


def unfold(folded, period):
    """C(t) for t = 0 .. T-1 from t = 0 .. T//2."""
    return torch.stack([folded[min(t, period - t)] for t in range(period)])


@pytest.mark.parametrize("shape", [[5], [6], [4, 6], [5, 5], [6, 3, 6], [2, 2, 2, 3]], ids=str)
def test_the_half_is_the_whole(shape):
    full = correlator(configurations(shape), all_axes=True)
    torch.testing.assert_close(full[:, 1:], full[:, 1:].flip(1))
    folded = TwoPoint().measure(configurations(shape))
    assert folded.shape == (5, shape[-1] // 2 + 1)
    torch.testing.assert_close(unfold(folded.T, shape[-1]).T, full)


@pytest.mark.parametrize("shape", [[5], [6], [4, 6], [5, 5], [6, 3, 6], [2, 2, 2, 3]], ids=str)
def test_the_connected_one_sums_to_chi_c(shape):
    """sum over the full period of C(t) - <|M|>^2 is T chi_c / V."""
    ensemble, period = configurations(shape), shape[-1]
    two_point, chi = TwoPointConnected(), ConnectedSusceptibility()
    total = unfold(two_point.derive(two_point.measure(ensemble).mean(0)), period).sum()
    chi_c = chi.derive(chi.measure(ensemble).mean(0))
    torch.testing.assert_close(total, period * chi_c / ensemble.volume)


def test_axes_as_long_as_time_are_averaged():
    ensemble = configurations([6, 4, 6])
    other = Configurations(ensemble.phi.transpose(1, 3), ensemble.theory)
    along = [TwoPoint(all_axes=False).measure(e) for e in (ensemble, other)]
    assert not torch.allclose(*along)
    torch.testing.assert_close(TwoPoint().measure(ensemble), (along[0] + along[1]) / 2)


def test_translations_and_reflections_change_nothing():
    ensemble = configurations([4, 5])
    moved = Configurations(ensemble.phi.roll((1, 2), (1, 2)).flip(2), ensemble.theory)
    for observable in (TwoPoint(), TwoPointConnected()):
        torch.testing.assert_close(observable.measure(moved), observable.measure(ensemble))
