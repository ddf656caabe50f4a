"""Fourier modes of a periodic lattice, and filters that are functions of khat^2."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from flowlat.lattice.geometry import Lattice, outer_sum

#: axes are transformed together as long as their matrix has no more rows than this
LARGEST = 16


class Fourier:
    """The M modes of a field: ``(V, ...)`` of sites, sites first, to ``(M, ...)`` and back.

    In them a filter a(k) that depends on khat^2 alone is diagonal:
    F^-1[a(k) F phi] = to_sites(a * to_modes(phi)). Which modes they are, and in which order, is
    nobody's concern: ``khat2``, float64 ``(M,)``, says where to evaluate a, and ``sum_modes`` sums
    over all V of them.

    Up to the side ``longest_dense``: products with small orthogonal matrices, along every axis
    1, cos(kx), sin(kx), ..., without complex numbers; M = V. With a longer side: a real FFT,
    whose modes are complex; M = V / L_d (L_d // 2 + 1). Time of the FFT over that of the matrices,
    for n fields in float32, sites first (one thread of an AMD EPYC with AVX-512, November 2026):

    ====  =====  =====  ======  ======  ======  ======  ======  =====  ======  =====  =====
    n     4^2    8^2    16^2    24^2    32^2    64^2    128^2   8^3    16^3    4^4    8^4
    ====  =====  =====  ======  ======  ======  ======  ======  =====  ======  =====  =====
    64    1.1    0.9    1.1     1.4     0.9     0.6     0.4     2.3    1.4     4.3    3.4
    1024  3.7    2.4    1.4     1.9     1.2     0.8             3.3    1.1     8.0    2.7
    ====  =====  =====  ======  ======  ======  ======  ======  =====  ======  =====  =====

    ``filter`` takes fields with the batch first, and has to turn them round for the matrices: that
    pays from three dimensions on, which is the default, ``longest_dense=None``.
    """

    khat2: Tensor

    def __init__(self, lattice: Lattice, longest_dense: int | None = None):
        if longest_dense is None:
            longest_dense = 24 if lattice.d > 2 else 0
        self.shape = lattice.shape
        self.dense = max(lattice.shape) <= longest_dense
        if self.dense:
            bases, squares = zip(*map(real_fourier, lattice.shape), strict=True)
            self.khat2 = outer_sum(squares).flatten()
            self._tables = merged(bases)
        else:
            last = lattice.shape[-1]
            khat2 = lattice.khat2()[..., : last // 2 + 1]
            self.khat2 = khat2.flatten()
            # a mode stands for its complex conjugate too, unless it is real along the last axis
            single = torch.arange(last // 2 + 1) * 2 % last == 0
            self._tables = [torch.where(single, 1.0, 2.0).expand(khat2.shape).flatten()]
        self._cast: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}

    def to_modes(self, phi: Tensor) -> Tensor:
        """``(V, ...)`` of sites -> ``(M, ...)`` of modes."""
        if self.dense:
            return self._multiply(phi, inverse=False)
        d = len(self.shape)
        x = phi.reshape(*self.shape, *phi.shape[1:])
        return torch.fft.rfftn(x, dim=tuple(range(d))).flatten(0, d - 1)

    def to_sites(self, modes: Tensor) -> Tensor:
        """``(M, ...)`` of modes -> ``(V, ...)`` of sites."""
        if self.dense:
            return self._multiply(modes, inverse=True)
        d = len(self.shape)
        x = modes.reshape(*self.shape[:-1], -1, *modes.shape[1:])
        return torch.fft.irfftn(x, s=self.shape, dim=tuple(range(d))).flatten(0, d - 1)

    def filter(self, x: Tensor, amplitude: Tensor) -> Tensor:
        """F^-1[a(k) F x] over the sites of ``(batch, *shape)``, a = ``amplitude`` ``(M,)``."""
        if self.dense:
            modes = amplitude.unsqueeze(1) * self.to_modes(x.flatten(1).T)
            y = self.to_sites(modes).T.reshape(x.shape)
            return y.contiguous() if x.is_contiguous() else y
        axes = tuple(range(1, x.dim()))
        modes = torch.fft.rfftn(x.contiguous(), dim=axes)
        spectrum = modes * amplitude.reshape(*self.shape[:-1], -1)
        return torch.fft.irfftn(spectrum, s=self.shape, dim=axes)

    def sum_modes(self, values: Tensor, dim: int = 0) -> Tensor:
        """The sum over all V modes of a real function of khat^2, its M values along ``dim``."""
        if self.dense:
            return values.sum(dim)
        multiplicity = self._tables_like(values)[0]
        return (values.movedim(dim, -1) * multiplicity).sum(-1)

    def _multiply(self, x: Tensor, inverse: bool) -> Tensor:
        shape, before, after = x.shape, 1, x.numel()
        for matrix in self._tables_like(x):
            n = len(matrix)
            after //= n
            x = (matrix.T if inverse else matrix) @ x.reshape(before, n, after)
            before *= n
        return x.reshape(shape)

    def _tables_like(self, x: Tensor) -> list[Tensor]:
        """In the precision and on the device of x: matrices orthogonal to its last digit."""
        key = x.dtype, x.device
        if key not in self._cast:
            self._cast[key] = [table.to(x) for table in self._tables]
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


def merged(bases: Sequence[Tensor]) -> list[Tensor]:
    """The same transform with neighbouring axes as one, where that keeps their matrix small."""
    matrices: list[Tensor] = []
    for basis in bases:
        if matrices and len(matrices[-1]) * len(basis) <= LARGEST:
            matrices[-1] = torch.kron(matrices[-1], basis)
        else:
            matrices.append(basis)
    return matrices
