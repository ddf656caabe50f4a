import itertools
import math

import pytest
import torch

from flowlat.lattice import Lattice, batch_fastest, neighbour, sum_sites


@pytest.mark.parametrize("shape", [[4], [4, 6], [2, 3, 4], [2, 2, 4, 2]])
def test_geometry(shape):
    lattice = Lattice(shape)
    assert (lattice.d, lattice.volume) == (len(shape), math.prod(shape))
    for site in itertools.product(*map(range, shape)):
        assert lattice.parity_mask("even")[site] == (sum(site) % 2 == 0)
        momentum = [2 * math.pi * n / side for n, side in zip(site, shape, strict=True)]
        expected = sum(4 * math.sin(k / 2) ** 2 for k in momentum)
        assert lattice.khat2()[site].item() == pytest.approx(expected, abs=1e-12)
    assert torch.equal(lattice.parity_mask("odd"), ~lattice.parity_mask("even"))


def test_neighbour_and_sum():
    phi = torch.arange(24.0).reshape(2, 3, 4)
    assert neighbour(phi, 1)[1, 2, 3] == phi[1, 2, 0]
    assert neighbour(phi, 0, -1)[0, 0, 2] == phi[0, 2, 2]
    assert torch.equal(sum_sites(phi), torch.tensor([66.0, 210.0]))


def test_batch_fastest_is_the_same_field():
    phi = torch.randn(5, 3, 4)
    turned = batch_fastest(phi)
    assert torch.equal(turned, phi)
    assert turned.stride() == (1, 20, 5)
    assert batch_fastest(turned).data_ptr() == turned.data_ptr()
