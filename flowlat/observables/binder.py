"""The Binder cumulant."""

import torch
from torch import Tensor

from flowlat.observables.base import Configurations, Observable


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
