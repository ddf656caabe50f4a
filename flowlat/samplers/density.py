"""The contract of a start: a normalised density one can sample from, with its score."""

from abc import abstractmethod

import torch
from torch import Tensor

from flowlat.actions import Action


class Density(Action):
    """q(phi) as the action -log q: a call gives -log q(phi), ``force`` the score d log q / dphi."""

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """n configurations: (phi ``(n, *shape)``, log q(phi) ``(n,)``), float64."""
