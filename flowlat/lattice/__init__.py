"""Periodic lattices: geometry, Fourier modes, functions of the momentum."""

from flowlat.lattice.fourier import Modes, filter_modes
from flowlat.lattice.geometry import (
    Lattice,
    Parity,
    batch_fastest,
    neighbour,
    opposite,
    sum_sites,
)
from flowlat.lattice.spectrum import Spectrum

__all__ = [
    "Lattice",
    "Modes",
    "Parity",
    "Spectrum",
    "batch_fastest",
    "filter_modes",
    "neighbour",
    "opposite",
    "sum_sites",
]
