"""Periodic lattices: geometry, Fourier modes, functions of the momentum."""

from flowlat.lattice.fourier import Fourier
from flowlat.lattice.geometry import (
    Lattice,
    Parity,
    batch_fastest,
    neighbour,
    sum_sites,
)
from flowlat.lattice.shells import shell_of, shells
from flowlat.lattice.spectrum import Spectrum

__all__ = [
    "Fourier",
    "Lattice",
    "Parity",
    "Spectrum",
    "batch_fastest",
    "neighbour",
    "shell_of",
    "shells",
    "sum_sites",
]
