from flowlat.couplings.affine import Affine
from flowlat.couplings.base import Bijection, Composition, Transform
from flowlat.couplings.checkerboard import Checkerboard, checkerboard_stack

__all__ = [
    "Affine",
    "Bijection",
    "Checkerboard",
    "Composition",
    "Transform",
    "checkerboard_stack",
]
