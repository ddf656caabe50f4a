import pytest
import torch

from flowlat.lattice import Lattice
from flowlat.lattice.fourier import Modes, filter_modes

#: one axis, axes that are transformed together, and ones that are not; odd sides too
SHAPES = [[7], [8], [2, 2], [3, 5], [4, 4, 2], [20, 6], [4, 6, 2, 8], [1, 4]]


def field(lattice, n=3):
    return torch.randn(n, *lattice.shape, dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
def test_orthogonal(shape):
    lattice = Lattice(shape)
    modes = Modes(lattice)
    matrix = modes.to_modes(torch.eye(lattice.volume, dtype=torch.float64))
    eye = torch.eye(lattice.volume, dtype=torch.float64)
    torch.testing.assert_close(matrix @ matrix.T, eye, rtol=0, atol=1e-13)
    torch.testing.assert_close(modes.to_sites(matrix), eye, rtol=0, atol=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_filter_is_diagonal(shape):
    """Against the FFT, with a filter that depends on khat^2."""
    lattice = Lattice(shape)
    modes, phi = Modes(lattice), field(lattice)
    found = modes.to_sites(
        torch.exp(-modes.khat2).unsqueeze(1) * modes.to_modes(phi.flatten(1).T)
    ).T.reshape(phi.shape)
    expected = filter_modes(phi, torch.exp(-lattice.khat2(half=True)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_momenta(shape):
    lattice = Lattice(shape)
    found, expected = Modes(lattice).khat2.sort().values, lattice.khat2().flatten().sort().values
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_every_precision_has_its_own_matrices():
    modes = Modes(Lattice([4, 4]))
    for dtype, tolerance in ((torch.float64, 1e-14), (torch.float32, 1e-5)):
        x = torch.randn(16, 2, dtype=dtype)
        assert modes.to_modes(x).dtype == dtype
        assert (modes.to_sites(modes.to_modes(x)) - x).abs().max() < tolerance
