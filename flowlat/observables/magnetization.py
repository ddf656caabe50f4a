"""Functions of the magnetization M = (1/V) sum_x phi(x)."""

import math

import torch
from torch import Tensor

from flowlat.observables.base import Configurations, Observable


class Magnetization(Observable):
    """<M>, M = (1/V) sum_x phi(x): zero for an even action."""

    symbol = "<M>"

    def measure(self, configurations: Configurations) -> Tensor:
        return configurations.mean_field


class AbsMagnetization(Observable):
    """<|M|>."""

    symbol = "<|M|>"

    def measure(self, configurations: Configurations) -> Tensor:
        return configurations.mean_field.abs()


class Susceptibility(Observable):
    """chi2 = V <M^2>, not connected."""

    symbol = "chi2"
    quadratic = True

    def measure(self, configurations: Configurations) -> Tensor:
        return configurations.volume * configurations.squared_mean_field


class ConnectedSusceptibility(Observable):
    """chi_c = V (<M^2> - <|M|>^2).

    |M| and not M: on a finite lattice <M> = 0 by symmetry, in the ordered phase too, and only <|M|>
    tends to the order parameter. (In the symmetric phase <|M|> -> 0 as 1/sqrt(V), so that chi_c
    tends to (1 - 2/pi) chi2.)

    Measured: V M^2 and sqrt(V) |M|.
    """

    symbol = "chi_c"

    def measure(self, configurations: Configurations) -> Tensor:
        root = math.sqrt(configurations.volume) * configurations.mean_field.abs()
        return torch.stack([root * root, root], 1)

    def derive(self, means: Tensor) -> Tensor:
        return means[0] - means[1] ** 2


class Binder(Observable):
    """U4 = 1 - <M^4> / (3 <M^2>^2): 0 where M is Gaussian, 2/3 where it is +-v.

    Measured: M^2 and M^4. Binder, Z. Phys. B 43 (1981) 119.
    """

    symbol = "U4"

    def measure(self, configurations: Configurations) -> Tensor:
        m2 = configurations.mean_field**2
        return torch.stack([m2, m2 * m2], 1)

    def derive(self, means: Tensor) -> Tensor:
        return 1 - means[1] / (3 * means[0] ** 2)
