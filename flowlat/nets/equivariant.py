"""Z2 equivariance for any network."""

import torch
from torch import Tensor

from flowlat.lattice import Parity
from flowlat.nets.base import Net


class Z2Equivariant(Net):
    """Even first channel (s) and odd second channel (t), so that the coupling commutes with -1.

    s(x) = (f_0(x) + f_0(-x)) / 2,  t(x) = (f_1(x) - f_1(-x)) / 2; two evaluations of ``net``.
    With an even prior, log q(-phi) = log q(phi) follows.
    """

    signs: Tensor

    def __init__(self, net: Net):
        super().__init__()
        self.net = net
        self.register_buffer("signs", torch.tensor([1.0, -1.0]), persistent=False)

    def forward(self, x: Tensor, active: Parity) -> Tensor:
        plus, minus = self.net(torch.cat([x, -x]), active).chunk(2)
        return 0.5 * (plus + self.signs.reshape(1, 2, *[1] * (x.dim() - 2)) * minus)
