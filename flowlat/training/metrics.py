"""The log weights of all ranks."""

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class LogWeights(Metric):
    """Gathers the log weights of all ranks, so that the figures are exact and no averages.

    ``update(log_w)``, also with none; ``compute()`` gives all of them, ``(n,)`` in float64, those
    of rank 0 first.
    """

    full_state_update = False
    log_w: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("log_w", default=[], dist_reduce_fx="cat")

    def update(self, log_w: Tensor) -> None:
        self.log_w.append(log_w.double())

    def compute(self) -> Tensor:
        return dim_zero_cat(self.log_w)
