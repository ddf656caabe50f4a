"""The connected susceptibility."""

import math

import torch
from torch import Tensor

from flowlat.observables.base import Configurations, Observable


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
