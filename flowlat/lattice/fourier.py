"""The real Fourier modes of a periodic lattice, by small matrix products."""

import math

import torch
from torch import Tensor

from flowlat.lattice.geometry import Lattice

#: axes are transformed together as long as their matrix has no more rows than this
LARGEST = 16


class Modes:
    """c = Q phi with Q orthogonal: along every axis 1, cos(kx), sin(kx), ... , normalised.

    A filter that depends on khat^2 alone is diagonal in this basis, F^-1[a(k) F phi] = Q^T a Q phi,
    without complex numbers. On lattices with short sides a product with small dense matrices is
    faster than an FFT: 14 times on 4^4 (256 fields, one thread), as fast on 32^2.

    Fields are ``(V, n)``, sites first, so that every product has long rows. ``khat2`` is that of
    each mode, float64 ``(V,)``.
    """

    def __init__(self, lattice: Lattice):
        factors: list[Tensor] = []
        khat2 = torch.zeros(1, dtype=torch.float64)
        for side in lattice.shape:
            basis, squared = real_fourier(side)
            khat2 = (khat2.unsqueeze(1) + squared).flatten()
            if factors and len(factors[-1]) * side <= LARGEST:
                factors[-1] = torch.kron(factors[-1], basis)
            else:
                factors.append(basis)
        self.khat2 = khat2
        self._factors = factors
        self._cast: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}

    def to_modes(self, phi: Tensor) -> Tensor:
        """``(V, n)`` of sites -> ``(V, n)`` of modes."""
        return self._transform(phi, inverse=False)

    def to_sites(self, modes: Tensor) -> Tensor:
        """``(V, n)`` of modes -> ``(V, n)`` of sites."""
        return self._transform(modes, inverse=True)

    def _transform(self, x: Tensor, inverse: bool) -> Tensor:
        shape, before, after = x.shape, 1, x.numel()
        for factor in self._factors_like(x):
            after //= len(factor)
            matrix = factor.T if inverse else factor
            x = matrix @ x.reshape(before, len(factor), after)
            before *= len(factor)
        return x.reshape(shape)

    def _factors_like(self, x: Tensor) -> list[Tensor]:
        """The matrices in the precision and on the device of x: orthogonal to its last digit."""
        key = x.dtype, x.device
        if key not in self._cast:
            self._cast[key] = [factor.to(x) for factor in self._factors]
        return self._cast[key]


def real_fourier(side: int) -> tuple[Tensor, Tensor]:
    """The orthonormal real Fourier basis of a ring, a row a mode, and khat^2 of each; float64."""
    x = torch.arange(side, dtype=torch.float64)
    rows, momenta = [torch.full((side,), side**-0.5, dtype=torch.float64)], [0]
    for k in range(1, (side + 1) // 2):
        phase = 2 * math.pi * k * x / side
        rows += [math.sqrt(2 / side) * phase.cos(), math.sqrt(2 / side) * phase.sin()]
        momenta += [k, k]
    if side % 2 == 0:
        rows.append(torch.cos(math.pi * x) * side**-0.5)
        momenta.append(side // 2)
    numbers = torch.tensor(momenta, dtype=torch.float64)
    return torch.stack(rows), 4 * torch.sin(math.pi * numbers / side) ** 2


def filter_modes(x: Tensor, amplitude: Tensor) -> Tensor:
    """F^-1[a(k) F x] over the sites of ``(batch, *shape)``.

    ``amplitude``: a(k) on the modes of a real transform, as those of ``khat2(half=True)``.
    """
    axes = tuple(range(1, x.dim()))
    return torch.fft.irfftn(torch.fft.rfftn(x, dim=axes) * amplitude, s=x.shape[1:], dim=axes)
