"""Every kernel against the reference, and the reference against the published form."""

import itertools
from functools import cache, partial

import pytest
import torch
from torch.nn import functional as F

from flowlat.kernels import ACTIVATIONS, KERNELS, StencilSpec, available_kernels, stencil_stack
from flowlat.kernels.affine import affine, affine_reference
from tests.support.reference_stack import reference_stack

SHAPES = [(6,), (1, 3), (4, 6), (2, 4, 4), (2, 2, 4, 2)]
FAST = [name for name in ("torch", "cpu") if name in available_kernels()]


def stack(spec, channels, batch, dtype=torch.float64):
    """Random input, weights and biases, of which no activation saturates."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape, fan_in=1):
        numbers = torch.randn(*shape, dtype=dtype, generator=generator) / fan_in**0.5
        return numbers.requires_grad_()

    n_branches, taps = len(spec.branches), spec.taps
    pairs = list(itertools.pairwise(channels))
    weights = [draw(n_branches, o, i, taps, fan_in=i * taps) for i, o in pairs]
    biases = [draw(n_branches, c_out) for _, c_out in pairs]
    return draw(batch, channels[0], *spec.shape), weights, biases


def outputs_and_gradients(x, weights, biases, spec, kernel=None):
    """By a kernel; None: by the oracle."""
    stack = reference_stack if kernel is None else partial(stencil_stack, kernel=kernel)
    y = stack(x, weights, biases, spec)
    cotangent = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).reshape(y.shape)
    return [y, *torch.autograd.grad(y, [x, *weights, *biases], cotangent)]


@cache
def by_the_oracle(spec, channels, batch, dtype):
    """Random arguments, and what it makes of them: the same for every kernel."""
    arguments = stack(spec, channels, batch, dtype)
    return arguments, outputs_and_gradients(*arguments, spec)


def assert_same(spec, channels, batch, kernel, dtype=torch.float64, tolerance=1e-9):
    arguments, expected = by_the_oracle(spec, channels, batch, dtype)
    found = outputs_and_gradients(*arguments, spec, kernel)
    for a, b in zip(found, expected, strict=True):
        assert b.abs().max() > 1e-3  # more than rounding
        assert (a - b).abs().max() <= tolerance * b.abs().max()


@pytest.mark.parametrize("kernel", FAST)
@pytest.mark.parametrize("activation_last", [False, True])
@pytest.mark.parametrize(
    ("shape", "k"), [(shape, k) for shape in SHAPES for k in range(1, len(shape) + 1)]
)
def test_outputs_and_all_gradients(kernel, shape, k, activation_last):
    for kernel_size, batch in [(1, 3), (3, 65), (5, 1)]:
        if kernel_size**k > 130:
            continue
        for outputs in (None, "even", "odd"):
            activations = ("leaky_relu", "leaky_relu", "tanh")
            spec = StencilSpec(shape, k, kernel_size, activations, activation_last, outputs)
            assert_same(spec, (1, 8, 8, 2), batch, kernel)


@pytest.mark.parametrize("kernel", FAST)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("channels", [(3, 11), (1, 16, 5), (2, 1, 4)])
def test_activations_and_channels(kernel, activation, channels):
    spec = StencilSpec((4, 6), 1, 3, (activation,) * (len(channels) - 1), outputs="odd")
    assert_same(spec, channels, 17, kernel)
    assert_same(spec, channels, 17, kernel, torch.float32, 2e-4)


def published(x, weight, bias, spec, activation):
    """permute -> reshape -> circular pad -> convolution -> reshape -> permute -> mean."""
    d, k, reach = len(spec.shape), spec.k, spec.kernel_size // 2
    convolution = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[k]
    total = 0
    for r, axes in enumerate(itertools.combinations(range(d), k)):
        rest = [a for a in range(d) if a not in axes]
        order = [0, *(a + 2 for a in rest), 1, *(a + 2 for a in axes)]
        moved = x.permute(order)
        lead = moved.shape[: 1 + len(rest)]
        folded = moved.reshape(-1, *moved.shape[1 + len(rest) :])
        padded = F.pad(folded, (reach, reach) * k, mode="circular")
        kernel = weight[r].reshape(*weight.shape[1:3], *[spec.kernel_size] * k)
        y = activation(convolution(padded, kernel, bias[r]))
        total = total + y.reshape(*lead, *y.shape[1:]).permute(
            [order.index(i) for i in range(d + 2)]
        )
    return total / len(spec.branches)


@pytest.mark.parametrize(
    ("shape", "k"),
    [
        (shape, k)
        for shape in [(6,), (4, 6), (4, 3, 5), (3, 4, 2, 4)]
        for k in range(1, min(3, len(shape)) + 1)
    ],
)
def test_reference_is_the_published_form(shape, k):
    spec = StencilSpec(shape, k, 3, ("leaky_relu",))
    x, weights, biases = stack(spec, (2, 3), 5)
    expected = published(x, weights[0], biases[0], spec, F.leaky_relu)
    found = reference_stack(x, weights, biases, spec)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_four_dimensions_by_brute_force():
    """k = d = 4, which PyTorch has no convolution for: the sum, site by site."""
    shape = (2, 3, 2, 2)
    spec = StencilSpec(shape, 4, 3, ("identity",))
    x, weights, biases = stack(spec, (1, 1), 1)
    found = reference_stack(x, weights, biases, spec)[0, 0]
    kernel = weights[0].reshape(3, 3, 3, 3)
    for site in itertools.product(*map(range, shape)):
        total = biases[0][0, 0]
        for tap in itertools.product(range(3), repeat=4):
            at = tuple((s + t - 1) % side for s, t, side in zip(site, tap, shape, strict=True))
            total = total + kernel[tap] * x[(0, 0, *at)]
        torch.testing.assert_close(found[site], total)


@pytest.mark.parametrize("kernel", FAST)
def test_any_strides(kernel):
    spec = StencilSpec((4, 6), 1, 3, ("tanh",))
    _, weights, biases = stack(spec, (2, 3), 5)
    x = torch.randn(6, 4, 2, 5, dtype=torch.float64).permute(3, 2, 1, 0).requires_grad_()
    assert not x.is_contiguous()
    expected = outputs_and_gradients(x, weights, biases, spec)
    for a, b in zip(outputs_and_gradients(x, weights, biases, spec, kernel), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kernel", FAST)
def test_one_and_two_threads_agree(kernel):
    # 16 x 16 sites and 8 -> 8 channels: enough work for a second thread to be started
    spec = StencilSpec((16, 16), 1, 3, ("leaky_relu", "leaky_relu", "tanh"))
    arguments = stack(spec, (1, 8, 8, 2), 130)
    one = outputs_and_gradients(*arguments, spec, kernel)
    torch.set_num_threads(2)
    two = outputs_and_gradients(*arguments, spec, kernel)
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kernel", FAST)
def test_only_the_gradients_that_are_wanted(kernel):
    spec = StencilSpec((4, 6), 2, 3, ("leaky_relu", "tanh"))
    x, weights, biases = stack(spec, (1, 8, 2), 9)
    everything = outputs_and_gradients(x, weights, biases, spec, kernel)
    fixed = [w.detach() for w in weights], [b.detach() for b in biases]
    y = stencil_stack(x, *fixed, spec, kernel)
    cotangent = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).reshape(y.shape)
    torch.testing.assert_close(torch.autograd.grad(y, x, cotangent)[0], everything[1])
    y = stencil_stack(x.detach(), weights, biases, spec, kernel)
    found = torch.autograd.grad(y, [*weights, *biases], cotangent)
    for a, b in zip(found, everything[2:], strict=True):
        torch.testing.assert_close(a, b)
    with torch.no_grad():
        torch.testing.assert_close(stencil_stack(x, weights, biases, spec, kernel), everything[0])


@pytest.mark.parametrize("kernel", FAST)
def test_a_graph_may_be_used_twice_and_beside_others(kernel):
    """The CPU kernel's buffers go back to a pool: not while a graph still needs them."""
    spec = StencilSpec((4, 4), 1, 3, ("leaky_relu", "tanh"))
    x, weights, biases = stack(spec, (1, 8, 2), 16)
    first = stencil_stack(x, weights, biases, spec, kernel).sum()
    expected = torch.autograd.grad(first, x, retain_graph=True)[0]
    other = stencil_stack(2 * x, weights, biases, spec, kernel).sum()
    other.backward()
    del other
    stencil_stack(3 * x, weights, biases, spec, kernel).sum().backward()
    assert torch.equal(torch.autograd.grad(first, x)[0], expected)


@pytest.mark.parametrize("kernel", FAST)
@pytest.mark.parametrize("activation", ["leaky_relu", "tanh", "silu", "gelu"])
def test_nan_and_infinity_are_not_swallowed(kernel, activation):
    spec = StencilSpec((4, 4), 1, 3, (activation, "identity"))
    x, weights, biases = stack(spec, (1, 8, 2), 3)
    x = x.detach().clone()
    x[1, 0, 2, 2] = torch.nan
    y = stencil_stack(x, weights, biases, spec, kernel)
    assert torch.isnan(y[1]).any()
    assert torch.isfinite(y[[0, 2]]).all()


@pytest.mark.parametrize("kernel", FAST)
@pytest.mark.parametrize("activation", ["identity", "relu", "leaky_relu", "tanh"])
def test_infinity_goes_through_an_activation(kernel, activation):
    """The ends of the range: relu(-inf) is 0, tanh(inf) is 1."""
    spec = StencilSpec((6,), 1, 1, (activation,))
    x = torch.tensor([torch.inf, -torch.inf, torch.nan, 2.0, -2.0, 0.0]).reshape(1, 1, 6)
    one, zero = [torch.ones(1, 1, 1, 1, requires_grad=True)], [torch.zeros(1, 1)]
    y = stencil_stack(x, one, zero, spec, kernel)
    torch.testing.assert_close(y, ACTIVATIONS[activation](x), equal_nan=True)
    with torch.no_grad():
        assert torch.equal(stencil_stack(x, one, zero, spec, kernel).nan_to_num(), y.nan_to_num())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 4, 6), (65, 5), (1, 16, 2, 2), (4, 33)])
def test_affine(dtype, shape):
    x = torch.randn(shape, dtype=dtype, requires_grad=True)
    params = torch.randn(shape[0], 2, *shape[1:], dtype=dtype, requires_grad=True)
    results = []
    for function in (affine, affine_reference):
        y, log_det = function(x, params)
        gradients = torch.autograd.grad((y**2).sum() + (log_det**3).sum(), [x, params])
        results.append([y, log_det, *gradients])
    tolerance = 1e-12 if dtype == torch.float64 else 1e-4
    for a, b in zip(*results, strict=True):
        assert (a - b).abs().max() <= tolerance * (1 + b.abs().max())


def test_bad_input_is_named():
    spec = StencilSpec((4, 4), 1, 3, ("tanh",))
    x, weights, biases = stack(spec, (1, 2), 3)
    with pytest.raises(ValueError, match=r"unknown kernel 'abacus'.*torch"):
        stencil_stack(x, weights, biases, spec, "abacus")
    for kernel in FAST:
        with pytest.raises(ValueError, match="weight 0 must be"):
            stencil_stack(x, [weights[0][:, :, :, :2]], biases, spec, kernel)
    for options in ({"kernel_size": 2}, {"k": 3}, {"activations": ("step",)}):
        good = {"shape": (4, 4), "k": 1, "kernel_size": 3, "activations": ("tanh",)}
        with pytest.raises(ValueError, match=r"must|unknown|exceeds"):
            StencilSpec(**{**good, **options})
    assert set(available_kernels()) <= set(KERNELS)
