"""Z2 equivariance for any network."""

from collections.abc import Callable

import torch
from torch import Tensor

from flowlat.lattice import Parity
from flowlat.nets.base import Net


class Z2Equivariant(Net):
    """Parameters theta with theta(-x) = P theta(x), so that the coupling commutes with -1.

    theta(x) = (f(x) + P f(-x)) / 2, two evaluations of ``net``. P is ``reflect`` of the coupling's
    transform: for an affine one s is even and t odd. With an even prior, log q(-phi) = log q(phi)
    follows.
    """

    def __init__(self, net: Net, reflect: Callable[[Tensor], Tensor]):
        super().__init__()
        self.net = net
        self.reflect = reflect

    def forward(self, x: Tensor, active: Parity) -> Tensor:
        plus, minus = self.net(torch.cat([x, -x]), active).chunk(2)
        return 0.5 * (plus + self.reflect(minus))
