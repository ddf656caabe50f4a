"""The affine transform of a coupling layer."""

import torch
from torch import Tensor

from flowlat.bijections.base import Transform
from flowlat.kernels import affine
from flowlat.lattice import sum_sites


class Affine(Transform):
    """y = exp(s) x + t, log_det = sum_x s.  (s, t) are the two channels of the parameters.

    Dinh et al., arXiv:1605.08803; for lattice fields Albergo et al., arXiv:1904.12072, eq. (8).
    """

    n_params = 2

    def forward(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        return affine(x, params)

    def inverse(self, y: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        s, t = params.unbind(1)
        return (y - t) * (-s).exp(), -sum_sites(s)

    def reflect(self, params: Tensor) -> Tensor:
        s, t = params.unbind(1)
        return torch.stack([s, -t], 1)
