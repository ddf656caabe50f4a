"""The fused solver of the continuous flow against the same flow in plain PyTorch."""

import ctypes
import math
import sys

import pytest
import torch

from flowlat.bijections import Continuous
from flowlat.kernels import Tables, available_kernels, first_use, solves
from flowlat.kernels.library import kernels
from flowlat.lattice import Lattice

pytestmark = pytest.mark.skipif("cpu" not in available_kernels(), reason="needs a C++ compiler")

#: powers of 2, odd, twice an odd number, 1 and 2, unequal, longer than what stays in registers;
#: several parts inside the first axis, without and with slabs
SHAPES = [(1,), (2,), (5,), (16,), (97,), (100,), (3, 4), (4, 4), (1, 5), (2, 2), (6, 10)]
SHAPES += [(22, 26), (64, 12), (4, 4, 4), (3, 1, 4), (8, 4, 2), (4, 4, 4, 4), (2, 3, 4, 5)]
SHAPES += [(6, 5, 30), (8, 8, 8), (3, 2, 8, 8)]
CLOSE = {torch.float64: (1e-9, 1e-11), torch.float32: (2e-4, 2e-4)}


def moved(shape, odd=True, dtype=torch.float64, n_steps=1, channels=2):
    flow = Continuous(Lattice(shape), n_steps, channels, odd)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return flow.to(dtype)


def plainly(flow):
    return lambda x, sign: flow._solve_plainly(x, flow._tables(sign), sign)


def results(flow, solve, x, sign):
    """The solution, its log_det, and the gradients of the field and all parameters."""
    out = solve(x, sign)
    generator = torch.Generator().manual_seed(1)
    loss = sum(
        (part * torch.randn(part.shape, generator=generator, dtype=part.dtype)).sum()
        for part in out
    )
    return [*out, *torch.autograd.grad(loss, (x, *flow.parameters()))]


def differ(flow, x, sign):
    found, expected = (results(flow, run, x, sign) for run in (flow._solve, plainly(flow)))
    assert type(found[0].grad_fn).__name__ == "SolveBackward"
    relative, absolute = CLOSE[x.dtype]
    for a, b in zip(found, expected, strict=True):
        assert (a - b).norm() <= relative * b.norm() + absolute


@pytest.mark.parametrize("shape", SHAPES)
def test_lattices(shape):
    flow = moved(shape)
    x = torch.randn(3, *shape, dtype=torch.float64, requires_grad=True)
    differ(flow, x, 1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("batch", [1, 3, 65])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("odd", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_batches_directions_and_methods(dtype, batch, sign, odd, training):
    flow = moved((4, 6), odd, dtype, n_steps=2).train(training)
    differ(flow, torch.randn(batch, 4, 6, dtype=dtype, requires_grad=True), sign)


def test_no_configuration():
    out, log_det = moved((4, 4))(torch.empty(0, 4, 4, dtype=torch.float64))
    assert out.shape == (0, 4, 4)
    assert log_det.shape == (0,)


def test_any_strides():
    flow, x = moved((4, 6)), torch.randn(6, 4, 20, dtype=torch.float64).permute(2, 1, 0)
    assert not x.is_contiguous()
    torch.testing.assert_close(flow(x), plainly(flow)(x, 1))


@pytest.mark.parametrize("shape", [(6,), (3, 4), (2, 3, 4), (2, 2, 3, 2)])
@pytest.mark.parametrize("odd", [True, False])
def test_gradients_against_finite_differences(shape, odd):
    flow = moved(shape, odd)
    x = torch.randn(2, *shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: flow(x), (x, *flow.parameters()), fast_mode=True)


def test_the_gradient_in_the_field_alone():
    """Takes another path where no parameter needs a gradient."""
    flow = moved((4, 6))
    x = torch.randn(17, 4, 6, dtype=torch.float64, requires_grad=True)
    y, log_det = flow(x)
    whole = torch.autograd.grad(y.sum() + log_det.sum(), x)
    y, log_det = flow.requires_grad_(False)(x)
    torch.testing.assert_close(torch.autograd.grad(y.sum() + log_det.sum(), x), whole)


RUN = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
PARALLEL = ctypes.CFUNCTYPE(None, RUN, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
NUMBER = ctypes.CFUNCTYPE(ctypes.c_int)


@pytest.fixture
def use_threads():
    """The threads that the kernels run on, PyTorch's again after the test."""
    yield kernels().flowlat_use_threads
    kernels.cache_clear()
    kernels()


@pytest.mark.parametrize("own", [False, True])
def test_threads_change_no_bit(own, use_threads):
    if own:
        use_threads(None, None, None)
    flow = moved((8, 8), dtype=torch.float32, n_steps=16, channels=4)  # enough work for all
    x = torch.randn(200, 8, 8, requires_grad=True)
    threads = torch.get_num_threads()
    try:
        found = []
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            found.append(results(flow, flow._solve, x, 1))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_the_threads_are_those_that_the_kernels_are_told_of(use_threads):
    flow = moved((8, 8), dtype=torch.float32, n_steps=16, channels=4)
    x = torch.randn(200, 8, 8)
    expected = flow(x)
    at, asked = [0], []

    def one_after_another(run, data, threads, flags):
        asked.append(threads)
        for at[0] in range(2):  # fewer than it asks for, as a runtime may
            run(data)

    told = PARALLEL(one_after_another), NUMBER(lambda: at[0]), NUMBER(lambda: 2)
    use_threads(*(ctypes.cast(f, ctypes.c_void_p) for f in told))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        found = flow(x)
    finally:
        torch.set_num_threads(threads)
    assert asked == [3, 3]  # for the tables, and for the tiles
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_what_it_does_not_take():
    tables = Tables(*torch.zeros(6, 2, 3, 4, 4))
    x = torch.zeros(1, 4, 4)
    assert solves(x, tables, odd=True)
    assert not solves(x.double(), tables, odd=True)
    assert not solves(x.to("meta"), tables, odd=True)
    assert not solves(x, tables._replace(coefficients=torch.zeros(2, 4, 5)), odd=True)


@pytest.mark.parametrize("shape", [(32, 32), (27,), (12, 10), (4, 4, 4)])
def test_rounding_of_the_transform_is_in_log_det(shape):
    """log |det| = V a + tr(M - 1) of a map exp(a) M, M the identity but for rounding.

    The trace is that of white noise. a keeps what is rounded from being a number of single
    precision, the noise, again.
    """
    flow, volume = Continuous(Lattice(shape), 1, 2, True), math.prod(shape)
    flow.linear.data[0, 0] = 1e-3
    a = flow.linear[0, 0].item()
    x = torch.randn(2**22 // volume, *shape)
    y, log_det = flow(x)
    assert type(y.grad_fn).__name__ == "SolveBackward"
    x, y = x.double(), math.exp(-a) * y.double()
    trace = volume * ((x * (y - x)).sum() / (x * x).sum()).item()
    # five times what rounding, 2e-7 at most, leaves of 2^22 numbers; and that of log_det itself
    error = 5 * 2e-7 * volume / 2**11 + 1.2e-7 * volume * a
    assert log_det[0].item() - volume * a == pytest.approx(trace, abs=error)


def test_a_flow_that_is_the_identity_is_fused():
    """Its log_det is next to nothing, and not that of PyTorch: the guard lets it pass."""
    y, log_det = Continuous(Lattice((32, 32)), 1, 2, True)(torch.randn(3, 32, 32))
    assert type(y.grad_fn).__name__ == "SolveBackward"
    assert 0 < log_det[0].abs().item() < 1e-3


def test_a_new_flow_is_compared_with_filters_that_matter(monkeypatch, caplog):
    """Its coefficients are zero, and so are the gradients of its filters."""
    for known in ("_faults", "_sound", "_said"):
        monkeypatch.setattr(first_use, known, type(getattr(first_use, known))())
    flow = Continuous(Lattice((4, 6)), 1, 2, True)

    def wrong(phi, tables, *how):
        without_gradient = tables.first.detach() + 0 * tables.first
        return flow._solve_plainly(phi, tables._replace(first=without_gradient), 1)

    monkeypatch.setattr(sys.modules["flowlat.bijections.continuous"], "solve", wrong)
    flow(torch.randn(3, 4, 6))
    assert "solver on cpu, float32: the gradient in first" in caplog.text
