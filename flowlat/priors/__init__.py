"""Where flows start: noise pushed to a field of known density."""

from flowlat.priors.base import Prior
from flowlat.priors.free_field import FreeField
from flowlat.priors.normal import Normal
from flowlat.priors.potential import SingleSitePotential
from flowlat.priors.transfer_matrix import ExactChain

__all__ = ["ExactChain", "FreeField", "Normal", "Prior", "SingleSitePotential"]
