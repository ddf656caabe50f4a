"""The networks of couplings, the combinational convolution among them."""

from flowlat.nets.base import Net
from flowlat.nets.combconv import CombConvNet
from flowlat.nets.equivariant import Z2Equivariant

__all__ = ["CombConvNet", "Net", "Z2Equivariant"]
