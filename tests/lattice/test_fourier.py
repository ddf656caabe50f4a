import pytest
import torch

from flowlat.lattice import Fourier, Lattice, batch_fastest, neighbour

#: one axis, axes that are transformed together, and ones that are not; odd sides too
SHAPES = [[1], [5], [8], [2, 2], [3, 5], [4, 4, 2], [20, 6], [4, 6, 2, 8], [1, 4], [4, 1], [32, 3]]


@pytest.fixture(params=SHAPES, ids=str)
def lattice(request):
    return Lattice(request.param)


@pytest.fixture(params=[100, 0], ids=["dense", "fft"])
def fourier(request, lattice):
    return Fourier(lattice, request.param)


def test_there_and_back(fourier, lattice):
    phi = torch.randn(lattice.volume, 3, dtype=torch.float64)
    modes = fourier.to_modes(phi)
    assert modes.shape == (len(fourier.khat2), 3)
    torch.testing.assert_close(fourier.to_sites(modes), phi, rtol=0, atol=1e-13)
    if fourier.dense:
        torch.testing.assert_close((modes**2).sum(0), (phi**2).sum(0))


def test_a_filter_is_diagonal(fourier, lattice):
    """Against the full transform, for fields of either layout in memory; khat^2: - Laplacian."""
    phi = torch.randn(3, *lattice.shape, dtype=torch.float64)
    axes = tuple(range(1, phi.dim()))
    full = torch.fft.fftn(phi, dim=axes) * torch.exp(-lattice.khat2())
    found = fourier.filter(phi, torch.exp(-fourier.khat2))
    torch.testing.assert_close(found, torch.fft.ifftn(full, dim=axes).real, rtol=0, atol=1e-13)
    assert found.is_contiguous()
    turned = fourier.filter(batch_fastest(phi), torch.exp(-fourier.khat2))
    torch.testing.assert_close(turned, found, rtol=0, atol=1e-13)
    laplacian = sum(
        neighbour(phi, axis) + neighbour(phi, axis, -1) - 2 * phi for axis in range(lattice.d)
    )
    torch.testing.assert_close(fourier.filter(phi, fourier.khat2), -laplacian)


def test_sums_count_every_mode(fourier, lattice):
    values = torch.stack([fourier.khat2**n for n in range(4)], 1)
    expected = torch.stack([(lattice.khat2() ** n).sum() for n in range(4)])
    torch.testing.assert_close(fourier.sum_modes(values), expected)
    torch.testing.assert_close(fourier.sum_modes(values.T, 1), expected)


@pytest.mark.parametrize(
    ("shape", "dense"), [([2, 24, 4], True), ([4, 4, 25], False), ([4, 4], False), ([64], False)]
)
def test_dimension_and_longest_side_decide(shape, dense):
    assert Fourier(Lattice(shape)).dense == dense


@pytest.mark.parametrize("longest_dense", [4, 3])
def test_every_precision_has_its_own_matrices(longest_dense):
    fourier = Fourier(Lattice([4, 4]), longest_dense)
    for dtype, tolerance in ((torch.float64, 1e-14), (torch.float32, 1e-5)):
        x = torch.randn(16, 2, dtype=dtype)
        back = fourier.to_sites(fourier.to_modes(x))
        assert back.dtype == dtype
        assert (back - x).abs().max() < tolerance
