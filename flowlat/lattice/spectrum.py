"""A learnable positive function of the lattice momentum."""

import math

import torch
from torch import Tensor, nn

from flowlat.lattice.fourier import Fourier
from flowlat.lattice.geometry import Lattice

#: momenta squared below this are one to the basis; correlation lengths up to about 5 are resolved
INFRARED = 0.05


class Spectrum(nn.Module):
    """log a(k) = sum_n c_n T_n(x(k)), see :func:`momentum_basis`.

    All c_n are zero at the start, where a(k) = 1. Nothing refers to the volume, so the coefficients
    transfer between lattices of the same d.
    """

    _basis: Tensor

    def __init__(self, lattice: Lattice, n_coefficients: int = 12):
        super().__init__()
        self.coefficients = nn.Parameter(torch.zeros(n_coefficients))
        self.fourier, self.volume = Fourier(lattice), lattice.volume
        basis = momentum_basis(self.fourier.khat2, lattice.d, n_coefficients)
        self.register_buffer("_basis", basis.float(), persistent=False)

    def forward(self) -> Tensor:
        """log a(k), ``(M,)`` on the modes of ``fourier``."""
        return self._basis @ self.coefficients

    def filter(self, x: Tensor, log_a: Tensor) -> tuple[Tensor, Tensor]:
        """F^-1[a(k) F x] and its log-determinant sum_k log a(k), of x ``(batch, *shape)``.

        The log-determinant is in float64. A transform and its inverse are off by a factor 1 + r, of
        rounding, that is much the same for all modes: it goes into a(k) - c alone, and with 1 / c
        the mean of all 1 / a(k) the determinant does not feel it.
        """
        log_det, amplitude = self.fourier.sum_modes(log_a.double()), log_a.exp()
        c = self.volume / self.fourier.sum_modes(amplitude.detach().reciprocal())
        y = torch.addcmul(self.fourier.filter(x, amplitude - c), c, x)
        return y, log_det.expand(len(x))


def momentum_basis(khat2: Tensor, d: int, n: int) -> Tensor:
    """T_0 ... T_(n-1) at x = 2 log(1 + khat^2/mu^2) / log(1 + 4d/mu^2) - 1; ``(*khat2.shape, n)``.

    mu^2 = 0.05 in lattice units. The logarithm gives the small momenta, which matter most near a
    critical point, their share of the interval.
    """
    return chebyshev(2 * torch.log1p(khat2 / INFRARED) / math.log1p(4 * d / INFRARED) - 1, n)


def chebyshev(x: Tensor, n: int) -> Tensor:
    """The Chebyshev polynomials T_0 ... T_(n-1) at -1 <= x <= 1; ``(*x.shape, n)``."""
    orders = torch.arange(n, dtype=x.dtype, device=x.device)
    return torch.cos(orders * torch.arccos(x.clamp(-1, 1)).unsqueeze(-1))
