"""The nonlinearity of the continuous flow against its formula and autograd."""

import torch

from flowlat.kernels.continuous.nonlinear import nonlinear


def test_formula():
    u = torch.randn(6, 3, 5, dtype=torch.float64, requires_grad=True)
    c = torch.randn(3, 4, dtype=torch.float64)
    f, slopes = nonlinear(u, c)
    s = u / torch.sqrt(1 + u**2)
    expected = sum(c[:, m].reshape(3, 1) * s**m for m in range(4))
    torch.testing.assert_close(f, expected)
    (slope,) = torch.autograd.grad(expected.sum(), u)
    torch.testing.assert_close(slopes, slope.sum(0))
