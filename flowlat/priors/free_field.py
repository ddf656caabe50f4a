"""A free field with a learnable spectrum: the long-range part of the theory, solved at once."""

import math

import torch
from torch import Tensor, nn

from flowlat.lattice import Lattice
from flowlat.priors.base import Prior, log_standard_normal


class FreeField(Prior):
    """z = F^-1[ a(k) F eps ] + shift, with eps white and a(k) > 0 a function of khat^2 alone.

    log a(k) = -1/2 log(2 (khat^2 + M^2)) + sum_n c_n T_n(2 khat^2 / (4d) - 1): the free
    propagator of a learnable mass times a learnable smooth factor (Chebyshev polynomials,
    ``n_coefficients`` of them, zero at the start). log r(z) = log N(eps; 0, 1) - sum_k log a(k).
    Nothing refers to the volume, so the parameters transfer between lattices of the same d.
    ``shift`` is where a learnable constant field starts; None leaves it out (and the prior even).

    Raises:
        ValueError: mass2 <= 0 or n_coefficients < 0.
    """

    _basis: Tensor
    _khat2: Tensor
    _multiplicity: Tensor

    def __init__(
        self,
        lattice: Lattice,
        mass2: float = 1.0,
        shift: float | None = None,
        n_coefficients: int = 6,
    ):
        super().__init__(lattice)
        if not 0 < mass2 < math.inf:
            raise ValueError(f"mass2={mass2}: must be positive and finite")
        if n_coefficients < 0:
            raise ValueError(f"n_coefficients={n_coefficients}: must not be negative")
        self.log_mass2 = nn.Parameter(torch.tensor(math.log(mass2)))
        self.coefficients = nn.Parameter(torch.zeros(n_coefficients))
        self.shift = None if shift is None else nn.Parameter(torch.tensor(float(shift)))
        khat2 = lattice.khat2(half=True)
        argument = (khat2 / (2 * lattice.d) - 1).clamp(-1, 1)
        orders = torch.arange(n_coefficients, dtype=torch.float64)
        basis = torch.cos(orders * torch.arccos(argument).unsqueeze(-1))
        self.register_buffer("_khat2", khat2.float(), persistent=False)
        self.register_buffer("_basis", basis.float(), persistent=False)
        self.register_buffer("_multiplicity", multiplicity(lattice).float(), persistent=False)

    def log_amplitude(self) -> Tensor:
        """log a(k) on the modes of a real transform."""
        free = -0.5 * torch.log(2 * (self._khat2 + self.log_mass2.exp()))
        return free + self._basis @ self.coefficients

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        log_a = self.log_amplitude()
        z = self._filter(noise, log_a.exp())
        if self.shift is not None:
            z = z + self.shift
        return z, log_standard_normal(noise) - self._log_det(log_a)

    def log_prob(self, z: Tensor) -> Tensor:
        log_a = self.log_amplitude()
        if self.shift is not None:
            z = z - self.shift
        noise = self._filter(z, (-log_a).exp())
        return log_standard_normal(noise) - self._log_det(log_a)

    def _filter(self, x: Tensor, amplitude: Tensor) -> Tensor:
        axes = tuple(range(1, x.dim()))
        modes = torch.fft.rfftn(x, dim=axes) * amplitude
        return torch.fft.irfftn(modes, s=self.lattice.shape, dim=axes)

    def _log_det(self, log_a: Tensor) -> Tensor:
        return (self._multiplicity * log_a).sum()


def multiplicity(lattice: Lattice) -> Tensor:
    """How many of the V modes each mode of a real transform stands for: 1 or 2."""
    last = lattice.shape[-1]
    count = torch.full((last // 2 + 1,), 2.0, dtype=torch.float64)
    count[0] = 1
    if last % 2 == 0:
        count[-1] = 1
    return count.expand(*lattice.shape[:-1], -1).contiguous()
