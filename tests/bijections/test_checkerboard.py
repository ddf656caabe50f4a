"""What a coupling on a checkerboard refuses; its laws are in tests/laws."""

import pytest

from flowlat.bijections import Affine, Checkerboard
from flowlat.lattice import Lattice
from flowlat.nets import CombConvNet


def test_an_odd_side_has_no_checkerboard():
    lattice = Lattice([4, 5])
    net = CombConvNet(lattice, n_params=2, k=2)
    with pytest.raises(ValueError, match=r"shape=\[4, 5\].*5 is odd"):
        Checkerboard(lattice, "even", net, Affine())
