"""When a loss has left its range."""

import math
from collections import deque

import torch
from torch import Tensor

#: batches over which the loss is averaged, so that no single one ends a training
WINDOW = 10
#: how far beyond its best the loss may rise, in units of log q, however little was gained
MARGIN = 10.0


class LossRange:
    """Tells a training that is lost from one that is noisy.

    The loss, as a mean over 10 batches, has left its range once it lies more than 10, and more than
    half of what had been gained since the start, above its best.
    """

    def __init__(self) -> None:
        self.first = self.lowest = math.inf
        self._recent: deque[float] = deque(maxlen=WINDOW)

    def left_by(self, loss: float) -> bool:
        """Take the loss of the next batch into account; whether it has left the range now."""
        self._recent.append(loss)
        if len(self._recent) < WINDOW:
            return False
        if self.first == math.inf:
            self.first = self.mean
        left = self.mean > self.lowest + max(MARGIN, (self.first - self.lowest) / 2)
        self.lowest = min(self.lowest, self.mean)
        return left

    @property
    def mean(self) -> float:
        """Of the recent batches."""
        return sum(self._recent) / len(self._recent)

    def state(self) -> Tensor:
        """What a resumed training needs, in float64; empty before there is a mean."""
        known = [] if self.first == math.inf else [self.first, self.lowest, *self._recent]
        return torch.tensor(known, dtype=torch.float64)

    def restore(self, state: Tensor) -> None:
        """Go on from ``state()``."""
        if len(state):
            self.first, self.lowest, *recent = state.tolist()
            self._recent.extend(recent)
