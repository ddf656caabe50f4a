"""A learnable monotone map of each site, the same for all sites."""

import math
from typing import Any

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

    a, delta and b/a are rounded: log_det is that of the map with these, and so is the inverse, lest
    V times a rounding error goes into log q. The sum over sites is in float64.
    """

    def __init__(self, odd: bool):
        super().__init__()
        self.log_a = nn.Parameter(torch.zeros(()))
        self.log_b = nn.Parameter(torch.zeros(()))
        self.log_delta = nn.Parameter(torch.zeros(()))
        self.offsets = None if odd else nn.Parameter(torch.zeros(3))  # m, eps, n

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, log_det, *_ = self._at(x)
        return y, log_det

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        scales, (m, eps, n) = self._scales(), self._offsets(y)
        a, delta, ratio = scales.unbind()
        sinh_v = (y - n) / ratio
        cosh_v = cosh_of(sinh_v)
        sinh_u = torch.sinh(asinh(sinh_v, cosh_v) / delta - eps)
        return sinh_u / a + m, -log_det_of(scales, cosh_of(sinh_u), cosh_v)

    def with_score(self, x: Tensor, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The score of y is (score - d log y' / dx) / y', y' = b delta cosh(v) / cosh(u)."""
        y, log_det, scales, sinh_u, cosh_u, sinh_v, cosh_v = self._at(x)
        with torch.no_grad():
            a, delta, ratio = scales.unbind()
            growth = a / cosh_u * (delta * (sinh_v / cosh_v) - sinh_u / cosh_u)
            slope = a * delta * ratio * (cosh_v / cosh_u)
            return y, log_det, (score - growth) / slope

    def _at(self, x: Tensor) -> tuple[Tensor, ...]:
        """y, log_det, the scales, sinh u, cosh u, sinh v, cosh v."""
        scales, (m, eps, n) = self._scales(), self._offsets(x)
        a, delta, ratio = scales.unbind()
        sinh_u = a * (x - m)
        cosh_u = cosh_of(sinh_u)
        sinh_v = torch.sinh(delta * (asinh(sinh_u, cosh_u) + eps))
        cosh_v = cosh_of(sinh_v)
        y = ratio * sinh_v + n
        return y, log_det_of(scales, cosh_u, cosh_v), scales, sinh_u, cosh_u, sinh_v, cosh_v

    def _scales(self) -> Tensor:
        """a, delta and b/a."""
        return torch.stack((self.log_a, self.log_delta, self.log_b - self.log_a)).exp()

    def _offsets(self, x: Tensor) -> tuple[Tensor, ...]:
        return (x.new_zeros(3) if self.offsets is None else self.offsets).unbind()


def log_det_of(scales: Tensor, cosh_u: Tensor, cosh_v: Tensor) -> Tensor:
    """sum_x [log of all scales + log(cosh v / cosh u)], ``(batch,)``."""
    of_scales = math.prod(cosh_u.shape[1:]) * scales.double().log().sum()
    total = of_scales + sum_sites(torch.log(cosh_v / cosh_u), torch.float64)
    return total.to(cosh_u.dtype)


def cosh_of(sinh: Tensor) -> Tensor:
    """cosh x = sqrt(1 + sinh^2 x), also where the square would overflow."""
    return torch.hypot(sinh, torch.ones_like(sinh))


class Asinh(torch.autograd.Function):
    """asinh s = sgn(s) log1p(|s| + s^2 / (1 + c)), c = sqrt(1 + s^2): a fifth of PyTorch's time.

    Its derivative, 1 / c, has to be told: that of |s| is 0 where s is.
    """

    @staticmethod
    def forward(ctx: Any, sinh: Tensor, cosh: Tensor) -> Tensor:
        ctx.save_for_backward(cosh)
        size = sinh.abs()
        return torch.copysign(torch.log1p(size + size * (size / (1 + cosh))), sinh)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (cosh,) = ctx.saved_tensors
        return grad / cosh, None


def asinh(sinh: Tensor, cosh: Tensor) -> Tensor:
    """x from sinh x and cosh x, the latter by :func:`cosh_of`; twice differentiable in sinh x."""
    result: Tensor = Asinh.apply(sinh, cosh)
    return result
