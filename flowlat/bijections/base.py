"""The contracts of a bijection of fields and of an elementwise transform, and composition."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from flowlat.utils.gradients import held_fixed


class Bijection(nn.Module, ABC):
    """Both directions return ``(value, log_det)`` with log_det of that direction, ``(batch,)``.

    Forward runs from the prior to the field: log q(phi) = log r(z) - log_det.
    """

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x -> (y, log|det dy/dx|)."""

    @abstractmethod
    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """y -> (x, log|det dx/dy|)."""

    def with_score(self, x: Tensor, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """:meth:`forward`, and of a density what becomes of its score d log p / dx there.

        The density of y has the score (dx/dy)^T score + grad_y log|det dx/dy|, here from the
        inverse with the parameters held fixed, at the cost of one inverse and its gradient in y. A
        bijection that has a faster way overrides this.

        Args:
            score: ``(batch, *shape)``, of the density of x, without gradients.

        Returns:
            (y, log_det, the score of the density of y, without gradients).
        """
        y, log_det = self(x)
        point = y.detach().requires_grad_()
        with held_fixed(self), torch.enable_grad():
            back, of_inverse = self.inverse(point)
            (of_y,) = torch.autograd.grad((back * score).sum() + of_inverse.sum(), point)
        return y, log_det, of_y


class Transform(nn.Module, ABC):
    """An invertible map of each site, y(x) = T(x; theta), with parameters from a network.

    It has to be the identity where its parameters are zero: that is how frozen sites stay.
    """

    #: parameters a site, the network's output channels
    n_params: int

    @abstractmethod
    def forward(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """x ``(batch, *shape)``, params ``(batch, n_params, *shape)`` -> (y, log_det)."""

    @abstractmethod
    def inverse(self, y: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """The inverse for the same parameters, and its log_det."""

    @abstractmethod
    def reflect(self, params: Tensor) -> Tensor:
        """P theta with -T(-x; theta) = T(x; P theta); linear, and P P = 1."""


class Composition(Bijection):
    """f = f_n o ... o f_1; log-determinants add.

    ``recompute`` keeps only what lies between the bijections for the backward and computes the
    rest again there: much less memory, one forward more.
    """

    def __init__(self, bijections: Sequence[Bijection], recompute: bool = False):
        super().__init__()
        self.bijections = nn.ModuleList(bijections)
        self.recompute = recompute

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._run([bijection.forward for bijection in self.bijections], x)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return self._run([bijection.inverse for bijection in reversed(self.bijections)], y)

    def with_score(self, x: Tensor, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One after another; all at once where only what lies between them may be kept."""
        if self.recompute:
            return super().with_score(x, score)
        total = x.new_zeros(len(x))
        for bijection in self.bijections:
            x, log_det, score = bijection.with_score(x, score)  # type: ignore[operator]
            total = total + log_det
        return x, total, score

    def _run(self, functions: list[Any], x: Tensor) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(len(x))
        for function in functions:
            if self.recompute and torch.is_grad_enabled():
                x, log_det = checkpoint(function, x, use_reentrant=False, preserve_rng_state=False)
            else:
                x, log_det = function(x)
            total = total + log_det
        return x, total
