import torch

from flowlat.bijections import Affine
from flowlat.lattice import Lattice
from flowlat.nets import CombConvNet, Z2Equivariant


def test_first_channel_is_even_and_second_is_odd():
    plain = CombConvNet(Lattice([4, 4]), 2, k=1, identity_start=False)
    net = Z2Equivariant(plain, Affine().reflect).double()
    x = torch.randn(3, 1, 4, 4, dtype=torch.float64)
    plus, minus = net(x, "even"), net(-x, "even")
    torch.testing.assert_close(minus[:, 0], plus[:, 0])
    torch.testing.assert_close(minus[:, 1], -plus[:, 1])
    assert plus.abs().amax((0, 2, 3)).min() > 1e-2
