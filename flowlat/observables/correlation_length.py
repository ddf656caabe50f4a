"""The second-moment correlation length."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from flowlat.observables.base import Configurations, Observable


class CorrelationLength(Observable):
    """xi = sqrt((chi2 / F - 1) / khat_1^2), F = (1/V) <|sum_x phi(x) e^{-i k_1 x}|^2>.

    k_1 = 2 pi / L, khat_1^2 = 4 sin^2(k_1 / 2): the smallest momentum of the lattice, along a
    longest axis; F is averaged over all axes of that length L. NaN where chi2 < F (noise).
    In the free theory xi = 1 / sqrt(m2) on any lattice. Not connected: for the symmetric phase.

    Measured: (V M^2 - F) / khat_1^2 and F; xi^2 is their ratio.
    Cooper, Freedman, Preston, Nucl. Phys. B 210 (1982) 210.
    """

    symbol = "xi"
    quadratic = True

    def exists(self, shape: Sequence[int]) -> bool:
        return max(shape) > 1  # a single site has no momentum but 0

    def measure(self, configurations: Configurations) -> Tensor:
        side = max(configurations.shape)
        longest = [a for a, length in enumerate(configurations.shape) if length == side]
        first = min(1, side // 2)  # to measure something of a single site, too
        modes = torch.stack([configurations.spectra[a][:, first] for a in longest])
        mode = configurations.volume * modes.mean(0)
        chi2 = configurations.volume * configurations.squared_mean_field
        khat2 = 4 * math.sin(math.pi / side) ** 2
        return torch.stack([(chi2 - mode) / khat2, mode], 1)

    def derive(self, means: Tensor) -> Tensor:
        return torch.sqrt(means[0] / means[1])
