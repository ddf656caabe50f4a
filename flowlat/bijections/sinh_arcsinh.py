"""A learnable monotone map of each site, the same for all sites."""

import math

import torch
from torch import Tensor, nn

from flowlat.bijections.base import Bijection
from flowlat.lattice import sum_sites


class SinhArcsinh(Bijection):
    """y = (b/a) sinh(delta (asinh(a (x - m)) + eps)) + n, for every site.

    The transformation of Jones and Pewsey, Biometrika 96 (2009) 761, with scales: |y| grows like
    |x|^delta, so that delta = 1/2 takes a Gaussian tail to that of exp(-phi^4), which no affine
    coupling can do. log_det = sum_x [log(b delta) + log cosh(v) - log cosh(u)] with
    u = asinh(a (x - m)), v = delta (u + eps). The identity at the start. ``odd`` leaves out m, eps
    and n, and the map commutes with phi -> -phi.
    """

    def __init__(self, odd: bool):
        super().__init__()
        self.log_a = nn.Parameter(torch.zeros(()))
        self.log_b = nn.Parameter(torch.zeros(()))
        self.log_delta = nn.Parameter(torch.zeros(()))
        self.offsets = None if odd else nn.Parameter(torch.zeros(3))  # m, eps, n

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        m, eps, n = self._offsets(x)
        u = torch.asinh(self.log_a.exp() * (x - m))
        v = self.log_delta.exp() * (u + eps)
        y = (self.log_b - self.log_a).exp() * torch.sinh(v) + n
        return y, self._log_det(u, v)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        m, eps, n = self._offsets(y)
        v = torch.asinh((self.log_a - self.log_b).exp() * (y - n))
        u = (-self.log_delta).exp() * v - eps
        x = (-self.log_a).exp() * torch.sinh(u) + m
        return x, -self._log_det(u, v)

    def _offsets(self, x: Tensor) -> tuple[Tensor, ...]:
        return (x.new_zeros(3) if self.offsets is None else self.offsets).unbind()

    def _log_det(self, u: Tensor, v: Tensor) -> Tensor:
        return sum_sites(self.log_b + self.log_delta + log_cosh(v) - log_cosh(u))


def log_cosh(x: Tensor) -> Tensor:
    """log cosh x, also where cosh would overflow."""
    return torch.logaddexp(x, -x) - math.log(2)
