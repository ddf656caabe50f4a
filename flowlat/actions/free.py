"""The free action: Gaussian, so everything is known exactly."""

import math

import torch
from torch import Tensor

from flowlat.actions.phi4 import Phi4
from flowlat.lattice import Lattice


class Free(Phi4):
    """S = sum_x { sum_mu (phi(x+mu) - phi(x))^2 + m2 phi^2 }, m2 > 0.

    Modes are independent Gaussians of variance 1 / (2 (khat^2 + m2)).

    Raises:
        ValueError: m2 <= 0.
    """

    convention = "S = sum_x { sum_mu (phi(x+mu)-phi(x))^2 + m2 phi^2 }, weight exp(-S)"

    def __init__(self, m2: float):
        super().__init__(m2=m2, lam=0.0)

    def mode_variance(self, lattice: Lattice) -> Tensor:
        """<|phi_k|^2> with the unitary Fourier transform, float64 ``(*shape)``."""
        return 0.5 / (lattice.khat2() + self.m2)

    def log_z(self, lattice: Lattice) -> float:
        """log Z = (V/2) log(2 pi) - (1/2) sum_k log(2 (khat^2 + m2))."""
        log_det = torch.log(self.mode_variance(lattice)).sum().item()
        return 0.5 * (lattice.volume * math.log(2 * math.pi) + log_det)

    def propagator(self, lattice: Lattice) -> Tensor:
        """<phi(0) phi(x)> = (1/V) sum_k e^{ikx} / (2 (khat^2 + m2)), float64 ``(*shape)``."""
        return torch.fft.ifftn(self.mode_variance(lattice)).real
