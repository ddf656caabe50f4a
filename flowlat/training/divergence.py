"""When a loss has left its range."""

import math
from collections import deque
from statistics import median

import torch
from torch import Tensor

#: batches of whose losses the median is taken: no single one ends a training
WINDOW = 10
#: and for a family, each of whose batches is of another theory
FAMILY_WINDOW = 100
#: how far beyond its best the loss may rise, in units of log q, however little was gained
MARGIN = 10.0


class LossRange:
    """Tells a training that is lost from one that is noisy.

    The loss, as the median of ``window`` batches, has left its range once it lies more than 10, and
    more than half of what had been gained since the start, above its best.
    """

    def __init__(self, window: int = WINDOW) -> None:
        self.first = self.lowest = math.inf
        self.window = window
        self._recent: deque[float] = deque(maxlen=window)

    def left_by(self, loss: float) -> bool:
        """Take the loss of the next batch into account; whether it has left the range now."""
        self._recent.append(loss)
        if len(self._recent) < self.window:
            return False
        if self.first == math.inf:
            self.first = median(self._recent)
        left = median(self._recent) > self.lowest + max(MARGIN, (self.first - self.lowest) / 2)
        self.lowest = min(self.lowest, median(self._recent))
        return left

    def state(self) -> Tensor:
        """What a resumed training needs, in float64: the recent losses, then first and lowest."""
        known = [] if self.first == math.inf else [self.first, self.lowest]
        return torch.tensor([*self._recent, *known], dtype=torch.float64)

    def restore(self, state: Tensor) -> None:
        """Go on from ``state()``."""
        losses = state.tolist()
        if len(losses) > self.window:
            *losses, self.first, self.lowest = losses
        self._recent.extend(losses)
