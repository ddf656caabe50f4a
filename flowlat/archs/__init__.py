"""Architectures, as conf/arch names them: which bijections, one after another."""

from flowlat.archs.combconv import combconv
from flowlat.archs.continuous import continuous

__all__ = ["combconv", "continuous"]
