from flowlat.couplings.affine import Affine
from flowlat.couplings.base import Bijection, Composition, Transform
from flowlat.couplings.checkerboard import Checkerboard, checkerboards
from flowlat.couplings.sinh_arcsinh import SinhArcsinh
from flowlat.couplings.spectral import Spectral

__all__ = [
    "Affine",
    "Bijection",
    "Checkerboard",
    "Composition",
    "SinhArcsinh",
    "Spectral",
    "Transform",
    "checkerboards",
]
