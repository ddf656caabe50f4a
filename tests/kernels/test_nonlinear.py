"""The fused nonlinearity against plain PyTorch, and that against autograd."""

import pytest
import torch

from flowlat.kernels import available_kernels
from flowlat.kernels.continuous.nonlinear import MOST_TERMS, nonlinear, nonlinear_reference


def given(batch, terms, dtype=torch.float64):
    u = torch.randn(6, 3, batch, dtype=dtype, requires_grad=True)
    c = torch.randn(3, terms, dtype=dtype, requires_grad=True)
    return u, c


def test_formula():
    u, c = given(5, 4)
    f, slopes = nonlinear_reference(u, c)
    s = u / torch.sqrt(1 + u**2)
    expected = sum(c[:, m].reshape(3, 1) * s**m for m in range(4))
    torch.testing.assert_close(f, expected)
    (slope,) = torch.autograd.grad(expected.sum(), u)
    torch.testing.assert_close(slopes, slope.sum(0))


@pytest.mark.skipif("cpu" not in available_kernels(), reason="needs a C++ compiler")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("terms", [1, 2, 7, 8, 9, MOST_TERMS])
@pytest.mark.parametrize("batch", [0, 1, 16, 37])
def test_values_and_gradients(batch, terms, dtype):
    u, c = given(batch, terms, dtype)
    fused, plain = nonlinear(u, c), nonlinear_reference(u, c)
    assert type(fused[0].grad_fn).__name__ == "FusedBackward"
    weights = [torch.randn_like(part) for part in fused]
    losses = [
        sum((w * part).sum() for w, part in zip(weights, o, strict=True)) for o in (fused, plain)
    ]
    gradients = [torch.autograd.grad(loss, (u, c)) for loss in losses]
    tolerance = (
        {"rtol": 1e-9, "atol": 1e-11} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-4}
    )
    torch.testing.assert_close(fused, plain, **tolerance)
    torch.testing.assert_close(*gradients, **tolerance)


def test_more_terms_than_the_kernel_has():
    u, c = given(4, MOST_TERMS + 1)
    torch.testing.assert_close(nonlinear(u, c), nonlinear_reference(u, c))


def test_any_strides():
    u, c = given(16, 8)
    torch.testing.assert_close(
        nonlinear(u.transpose(0, 1).contiguous().transpose(0, 1), c), nonlinear_reference(u, c)
    )
