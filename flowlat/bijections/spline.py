"""Rational-quadratic splines as the transform of a coupling layer."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from flowlat.bijections.affine import Affine
from flowlat.bijections.base import Transform
from flowlat.lattice import sum_sites

#: no slope below this; given to zuko, whose own default has changed: weights depend on it
LEAST_SLOPE = 1e-3


class Spline(Transform):
    """y = exp(s) g(x) + t, g a monotone rational-quadratic spline of K bins on (-B, B).

    g(x) = x outside, with a continuous derivative: the tails of y are linear. B is learnable, one
    number a coupling. The 3 K + 1 parameters a site are (s, t, widths, heights, derivatives), of K,
    K and K - 1 numbers without bounds. Durkan et al., arXiv:1906.04032; the spline is zuko's.

    Args:
        bins: K.
        bound: where B starts, in the units of the field.

    Raises:
        ValueError: zuko is not installed.
    """

    def __init__(self, bins: int, bound: float = 2.0):
        super().__init__()
        try:
            from zuko.transforms import MonotonicRQSTransform
        except ImportError as error:
            message = f"spline_bins={bins}: needs zuko: pip install 'flowlat[splines]'"
            raise ValueError(message) from error
        self.bins = bins
        self.n_params = 3 * bins + 1
        self.log_bound = nn.Parameter(torch.tensor(math.log(bound)))
        self._affine = Affine()
        self._spline = MonotonicRQSTransform

    def forward(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        inner, log_slope = self._build(params).call_and_ladj(x)
        # frozen sites stay to the last bit: the spline of equal bins is x up to rounding
        active = params.any(1)
        y, log_det = self._affine(torch.where(active, inner, x), params[:, :2])
        return y, log_det + sum_sites(log_slope * active)

    def inverse(self, y: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        inner, log_det = self._affine.inverse(y, params[:, :2])
        spline = self._build(params)
        active = params.any(1)
        x = torch.where(active, spline.inv(inner), inner)
        log_slope = spline.log_abs_det_jacobian(x, inner)
        return x, log_det - sum_sites(log_slope * active)

    def reflect(self, params: Tensor) -> Tensor:
        """-T(-x; params) runs through the bins from the other end."""
        s, t, *knots = params.split([1, 1, self.bins, self.bins, self.bins - 1], 1)
        return torch.cat([s, -t, *(knot.flip(1) for knot in knots)], 1)

    def _build(self, params: Tensor) -> Any:
        knots = params[:, 2:].movedim(1, -1).split([self.bins, self.bins, self.bins - 1], -1)
        return self._spline(*knots, bound=self.log_bound.exp(), slope=LEAST_SLOPE)
