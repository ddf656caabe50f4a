"""A learnable positive function of the lattice momentum, and the filter that it is."""

import torch
from torch import Tensor, nn

from flowlat.kernels import spectral_filter
from flowlat.lattice import Fourier, Lattice, momentum_basis, shell_of, shells


class Spectrum(nn.Module):
    """log a(k) = sum_n c_n T_n(x(k)), see :func:`flowlat.lattice.momentum_basis`.

    All c_n are zero at the start, where a(k) = 1. Nothing refers to the volume, so the coefficients
    transfer between lattices of the same d.
    """

    khat2: Tensor
    _modes: Tensor
    _shell: Tensor
    _basis: Tensor

    def __init__(self, lattice: Lattice, n_coefficients: int = 12):
        super().__init__()
        self.fourier = Fourier(lattice)
        self.coefficients = nn.Parameter(torch.zeros(n_coefficients))
        khat2, modes = shells(lattice.shape)
        tables = {
            "khat2": khat2.float(),
            "_modes": modes.double(),  # of a shell
            "_shell": shell_of(self.fourier.khat2, lattice.shape),  # of a mode
            "_basis": momentum_basis(khat2, lattice.d, n_coefficients).float(),
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def forward(self) -> Tensor:
        """log a(k), ``(S,)`` on the shells of :func:`flowlat.lattice.shells`."""
        return self._basis @ self.coefficients

    def filter(self, x: Tensor, log_a: Tensor) -> tuple[Tensor, Tensor]:
        """F^-1[a(k) F x] and its log-determinant sum_k log a(k), of x ``(batch, *shape)``.

        The log-determinant, ``(batch,)``, is in float64, and that of the map with its rounding.
        """
        y, rounding = spectral_filter(x, log_a.exp(), self.fourier, self._shell)
        log_det = self._modes.double() @ log_a.double() + rounding
        return y, log_det.expand(len(x))
