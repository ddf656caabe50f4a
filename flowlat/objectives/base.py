"""The contract of an objective."""

from typing import Protocol

from torch import Tensor

from flowlat.actions import Action
from flowlat.flow import Flow


class Objective(Protocol):
    """What one training step minimises."""

    def __call__(self, flow: Flow, action: Action, noise: Tensor) -> tuple[Tensor, Tensor]:
        """-> (loss to differentiate, log weights -S - log q ``(batch,)`` without gradient)."""
