"""The contract of an objective."""

from typing import Any, Protocol

from torch import Tensor

from flowlat.actions import Action
from flowlat.flows.flow import Flow


class Objective(Protocol):
    """What one training step minimises.

    ``batch`` is the noise ``(batch, ...)``; for an objective with an option ``ensemble`` also
    configurations of that ensemble, ``(batch, *shape)``.
    """

    def __call__(self, flow: Flow, action: Action, *batch: Any, **_: Any) -> tuple[Tensor, Tensor]:
        """-> (loss to differentiate, log weights -S - log q ``(batch,)`` without gradient).

        The log weights are those of samples of the flow: their negative mean, the reverse KL up to
        log Z, is what is logged as ``loss`` whatever the objective.
        """
