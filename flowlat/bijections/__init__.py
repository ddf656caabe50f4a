"""Invertible maps of a field with their log-determinants."""

from flowlat.bijections.affine import Affine
from flowlat.bijections.base import Bijection, Composition, Transform
from flowlat.bijections.checkerboard import Checkerboard
from flowlat.bijections.continuous import Continuous
from flowlat.bijections.sinh_arcsinh import SinhArcsinh
from flowlat.bijections.spectral import Spectral
from flowlat.bijections.spline import Spline

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
]
