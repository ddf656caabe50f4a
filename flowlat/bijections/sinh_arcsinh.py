"""A learnable monotone map of each site, the same for all sites."""

import torch
from torch import Tensor, nn

from flowlat.bijections.base import Bijection
from flowlat.kernels import sinh_arcsinh


class SinhArcsinh(Bijection):
    """y = (b/a) sinh(delta (asinh(a (x - m)) + eps)) + n, for every site.

    The transformation of Jones and Pewsey, Biometrika 96 (2009) 761, with scales: |y| grows like
    |x|^delta, so that delta = 1/2 takes a Gaussian tail to that of exp(-phi^4), which no affine
    coupling can do. log_det = sum_x [log(b delta) + log cosh(v) - log cosh(u)] with
    u = asinh(a (x - m)), v = delta (u + eps). The identity at the start. ``odd`` leaves out m, eps
    and n, and the map commutes with phi -> -phi.

    a, delta and b/a are rounded: log_det is that of the map with these, and so is the inverse, lest
    V times a rounding error goes into log q; see :func:`flowlat.kernels.sinh_arcsinh`.
    """

    def __init__(self, odd: bool):
        super().__init__()
        self.log_a = nn.Parameter(torch.zeros(()))
        self.log_b = nn.Parameter(torch.zeros(()))
        self.log_delta = nn.Parameter(torch.zeros(()))
        self.offsets = None if odd else nn.Parameter(torch.zeros(3))  # m, eps, n

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, log_det = sinh_arcsinh(x, self._parameters_of_map())
        return y, log_det

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        x, log_det = sinh_arcsinh(y, self._parameters_of_map(), inverse=True)
        return x, log_det

    def with_score(self, x: Tensor, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, log_det, score = sinh_arcsinh(x, self._parameters_of_map(), score=score)
        return y, log_det, score

    def _parameters_of_map(self) -> Tensor:
        """a, delta, b/a, m, eps, n."""
        scales = torch.stack((self.log_a, self.log_delta, self.log_b - self.log_a)).exp()
        offsets = torch.zeros_like(scales) if self.offsets is None else self.offsets
        return torch.cat((scales, offsets))
