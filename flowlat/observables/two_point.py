"""The zero-momentum two-point function, and its connected part."""

import torch
from torch import Tensor

from flowlat.observables.base import Configurations, Observable


def correlator(configurations: Configurations, all_axes: bool) -> Tensor:
    """mean_s Phi(s) Phi(s+t) of each configuration, ``(batch, T)``, t = 0 .. T-1.

    Phi(s) is the mean of phi over the time slice s, the last axis being time; the mean over the
    translations s is taken by FFT. ``all_axes``: averaged also over time along every other axis
    as long as the last. Exactly symmetric, C(T - t) = C(t).
    """
    period = configurations.shape[-1]
    axes = [a for a, side in enumerate(configurations.shape) if side == period]
    spectra = [configurations.spectra[a] for a in (axes if all_axes else axes[-1:])]
    return torch.fft.irfft(torch.stack(spectra).mean(0), n=period, norm="forward")


class TwoPoint(Observable):
    """C(t) = <mean_s Phi(s) Phi(s+t)>, t = 0 .. T//2, Phi(s) the mean of phi over a time slice.

    Folded: C(T - t) = C(t) holds configuration by configuration, so the rest would be a copy.
    ``all_axes``: time also along every other axis as long as the last (the same average, better
    measured).
    """

    symbol = "C(t)"
    quadratic = True

    def __init__(self, all_axes: bool = True):
        self.all_axes = all_axes

    def measure(self, configurations: Configurations) -> Tensor:
        half = configurations.shape[-1] // 2 + 1
        return correlator(configurations, self.all_axes)[:, :half]


class TwoPointConnected(TwoPoint):
    """C(t) - <|M|>^2, t = 0 .. T//2.

    |M| as in chi_c, which this sums to: the sum over t = 0 .. T-1 is T chi_c / V. (<M> is zero on a
    finite lattice, even where the field is ordered.)

    Measured: C(t), t = 0 .. T//2, and |M|.
    """

    symbol = "C(t) - <|M|>^2"
    quadratic = False

    def measure(self, configurations: Configurations) -> Tensor:
        two_point = super().measure(configurations)
        return torch.cat([two_point, configurations.mean_field.abs()[:, None]], 1)

    def derive(self, means: Tensor) -> Tensor:
        return means[:-1] - means[-1] ** 2
