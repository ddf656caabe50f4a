from flowlat.objectives.base import Objective
from flowlat.objectives.path_gradient import path_gradient
from flowlat.objectives.reverse_kl import reverse_kl

__all__ = ["Objective", "path_gradient", "reverse_kl"]
