"""A coupling layer on a checkerboard: mask x net x transform."""

from torch import Tensor

from flowlat.bijections.base import Bijection, Transform
from flowlat.lattice import Lattice, Parity
from flowlat.nets.base import Net


class Checkerboard(Bijection):
    """Sites of one parity are transformed with parameters computed from the other sublattice.

    y = T(x; net(x on the frozen sites)) on the active sites, y = x on the frozen ones.

    Raises:
        ValueError: a side is odd, so that the checkerboard does not close around the torus.
    """

    frozen: Tensor

    def __init__(self, lattice: Lattice, active: Parity, net: Net, transform: Transform):
        super().__init__()
        if odd := [side for side in lattice.shape if side % 2]:
            shape = list(lattice.shape)
            raise ValueError(f"shape={shape}: a checkerboard needs even sides, {odd[0]} is odd")
        self.net = net
        self.transform = transform
        self.active: Parity = active
        frozen = ~lattice.parity_mask(active)
        self.register_buffer("frozen", frozen.float(), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.transform(x, self._params(x))

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.transform.inverse(y, self._params(y))

    def _params(self, x: Tensor) -> Tensor:
        return self.net((x * self.frozen).unsqueeze(1), self.active)
