"""Where flows start: noise pushed to a field of known density."""

from flowlat.priors.base import Prior
from flowlat.priors.free_field import FreeField
from flowlat.priors.normal import Normal
from flowlat.priors.potential import SingleSitePotential

__all__ = ["FreeField", "Normal", "Prior", "SingleSitePotential"]
