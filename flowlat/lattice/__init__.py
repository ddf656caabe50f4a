"""Periodic lattices: geometry, Fourier modes, functions of the momentum."""

from flowlat.lattice.fourier import Fourier
from flowlat.lattice.geometry import (
    Lattice,
    Parity,
    batch_fastest,
    neighbour,
    sum_sites,
)
from flowlat.lattice.momentum_basis import chebyshev, momentum_basis
from flowlat.lattice.shells import shell_of, shells

__all__ = [
    "Fourier",
    "Lattice",
    "Parity",
    "batch_fastest",
    "chebyshev",
    "momentum_basis",
    "neighbour",
    "shell_of",
    "shells",
    "sum_sites",
]
