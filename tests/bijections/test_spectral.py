import copy

import pytest
import torch

from flowlat.bijections import Bijection, Spectral
from flowlat.lattice import Lattice
from tests.support.helpers import SHAPES

ODD_TOO = [*SHAPES.values(), [5], [2, 3], [25]]


def moved(shape):
    layer = Spectral(Lattice(shape)).double()
    generator = torch.Generator().manual_seed(3)
    layer.spectrum.coefficients.data.uniform_(-0.3, 0.3, generator=generator)
    return layer


@pytest.mark.parametrize("shape", ODD_TOO)
def test_it_starts_as_the_identity(shape):
    x = torch.randn(2, *shape, dtype=torch.float64)
    y, log_det = Spectral(Lattice(shape)).double()(x)
    torch.testing.assert_close(y, x)
    assert log_det.tolist() == [0, 0]


@pytest.mark.parametrize("shape", ODD_TOO)
def test_inverse_and_log_det(shape):
    layer, x = moved(shape), torch.randn(1, *shape, dtype=torch.float64)
    y, log_det = layer(x)
    assert (y - x).abs().max() > 0.05
    matrix = torch.autograd.functional.jacobian(lambda x: layer(x)[0], x)
    expected = torch.linalg.slogdet(matrix.reshape(x.numel(), x.numel())).logabsdet
    torch.testing.assert_close(log_det[0], expected)
    back, log_det_back = layer.inverse(y)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(log_det_back, -log_det)


@pytest.mark.parametrize("shape", ODD_TOO)
def test_the_score_is_that_by_the_inverse(shape):
    layer = moved(shape)
    x, score = torch.randn(2, 3, *shape, dtype=torch.float64)
    expected = Bijection.with_score(layer, x, score)
    torch.testing.assert_close(layer.with_score(x, score), expected)
    assert (expected[2] - score).abs().max() > 0.05


@pytest.mark.parametrize("shape", SHAPES.values())
def test_it_commutes_with_translations_and_the_sign(shape):
    layer, x = moved(shape), torch.randn(2, *shape, dtype=torch.float64)
    y, _ = layer(x)
    for axis in range(1, x.dim()):
        torch.testing.assert_close(layer(x.roll(1, axis))[0], y.roll(1, axis))
    torch.testing.assert_close(layer(-x)[0], -y)


def test_coefficients_mean_the_same_on_a_larger_lattice():
    """A field with the period of the small lattice stays one on the large lattice."""
    small, large = moved([4, 4]), moved([8, 32])
    x = torch.randn(2, 4, 4, dtype=torch.float64)
    found, _ = large(x.repeat(1, 2, 8))
    torch.testing.assert_close(found, small(x)[0].repeat(1, 2, 8), rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [[32, 32], [8, 8, 8]])
def test_the_determinant_in_single_precision(shape):
    """log |det| less log_det is tr(A^-1 M - 1) of what single precision makes of the map A."""
    layer, volume = moved(shape).float(), Lattice(shape).volume
    exact = copy.deepcopy(layer).double()
    x = torch.randn(2**21 // volume, *shape)
    with torch.no_grad():
        y, log_det = layer(x)
        back, log_det_back = exact.inverse(y.double())
    x = x.double()
    trace = volume * ((x * (back - x)).sum() / (x * x).sum()).item()
    # an FFT and its inverse alone are off by 7e-5 on 32^2
    assert trace == pytest.approx((log_det + log_det_back)[0].item(), abs=1e-5)
