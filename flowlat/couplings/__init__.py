from flowlat.couplings.affine import Affine
from flowlat.couplings.base import Bijection, Composition, Transform
from flowlat.couplings.checkerboard import Checkerboard, checkerboards
from flowlat.couplings.continuous import Continuous
from flowlat.couplings.sinh_arcsinh import SinhArcsinh
from flowlat.couplings.spectral import Spectral
from flowlat.couplings.spline import Spline

__all__ = [
    "Affine",
    "Bijection",
    "Checkerboard",
    "Composition",
    "Continuous",
    "SinhArcsinh",
    "Spectral",
    "Spline",
    "Transform",
    "checkerboards",
]
