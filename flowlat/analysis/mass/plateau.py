"""The effective mass of any two-point function."""

import torch
from torch import Tensor

from flowlat.observables import Observable
from flowlat.observables.base import Configurations
from flowlat.observables.effective_mass import periodic_mass


class Plateau(Observable):
    """The effective mass, t = 0 .. T//2 - 1, of any two-point function C(t), t = 0 .. T//2.

    Args:
        two_point: the observable whose vector is C(t).
        period: T.
    """

    symbol = "m_eff(t)"

    def __init__(self, two_point: Observable, period: int):
        self.two_point = two_point
        self.period = period

    def measure(self, configurations: Configurations) -> Tensor:
        return self.two_point.measure(configurations)

    def derive(self, means: Tensor) -> Tensor:
        half = self.two_point.derive(means)
        other = half[1 : self.period - self.period // 2].flip(0)
        return periodic_mass(torch.cat([half, other]))
