"""The connected two-point function."""

import torch
from torch import Tensor

from flowlat.observables.base import Configurations, Observable
from flowlat.observables.two_point import correlator, fold


class TwoPointConnected(Observable):
    """C(t) - <|M|>^2, t = 0 .. T//2.

    |M| as in chi_c, which this sums to: the sum over t = 0 .. T-1 is T chi_c / V. (<M> is zero on a
    finite lattice, even where the field is ordered.)

    Measured: C(t), t = 0 .. T//2, and |M|.
    """

    symbol = "C(t) - <|M|>^2"

    def __init__(self, all_axes: bool = True):
        self.all_axes = all_axes

    def measure(self, configurations: Configurations) -> Tensor:
        folded = fold(correlator(configurations, self.all_axes))
        return torch.cat([folded, configurations.mean_field.abs()[:, None]], 1)

    def derive(self, means: Tensor) -> Tensor:
        return means[:-1] - means[-1] ** 2
