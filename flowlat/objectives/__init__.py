"""What a training makes small."""

from flowlat.objectives.base import Objective
from flowlat.objectives.family import FamilyObjective
from flowlat.objectives.forward_kl import ForwardKL
from flowlat.objectives.mixture import Mixture
from flowlat.objectives.path_gradient import path_gradient
from flowlat.objectives.reverse_kl import reverse_kl

__all__ = [
    "FamilyObjective",
    "ForwardKL",
    "Mixture",
    "Objective",
    "path_gradient",
    "reverse_kl",
]
