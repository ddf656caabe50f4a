"""A kernel that computes something else, or nothing: found before it is used, and not used.

The wrong kernels here are fakes on the CPU, in place of what a driver, a device or a compiler that
nobody tried would make of the right ones.
"""

import logging
from dataclasses import replace

import pytest
import torch

from flowlat.kernels import StencilSpec, affine, first_use, select, stencil_stack
from flowlat.kernels.affine import affine_reference
from flowlat.kernels.first_use import Comparison, fault
from flowlat.kernels.stencil.torch_path import torch_stack
from flowlat.utils.errors import KernelError

SPEC = StencilSpec((4, 4), 1, 3, ("leaky_relu", "tanh"), outputs="even")


class Slip(torch.autograd.Function):
    """The identity, but for one element of the output, or of the gradient."""

    @staticmethod
    def forward(ctx, t, forwards):
        ctx.forwards, out = forwards, t.clone()
        if forwards:
            out[(0,) * out.dim()] += 0.1 * t.abs().max()
        return out

    @staticmethod
    def backward(ctx, gradient):
        out = gradient.clone()
        if not ctx.forwards:
            out[(-1,) * out.dim()] += 0.1 * gradient.abs().max()
        return out, None


def wrong_output(x, weights, biases, spec):
    return Slip.apply(torch_stack(x, weights, biases, spec), True)


def wrong_gradient(x, weights, biases, spec):
    return torch_stack(x, [weights[0], Slip.apply(weights[1], False)], biases, spec)


def not_a_number(x, weights, biases, spec):
    return torch_stack(x, weights, biases, spec) * torch.nan


def another_shape(x, weights, biases, spec):
    return torch_stack(x, weights, biases, spec)[:, :1]


def wrong_gradient_below(x, weights, biases, spec):
    return torch_stack(x, [Slip.apply(weights[0], False), *weights[1:]], biases, spec)


def no_launch(x, weights, biases, spec):
    raise RuntimeError("CUDA error: no kernel image\nis available for execution on the device")


FAULTS = {
    wrong_output: "output 0 differs from PyTorch's by",
    wrong_gradient: "the gradient in weight 1 differs from PyTorch's by",
    not_a_number: "differs from PyTorch's by inf",
    another_shape: "output 0 differs from PyTorch's by inf",
    no_launch: "it fails (RuntimeError: CUDA error: no kernel image is available for execution",
}


class Counted:
    """A kernel that counts its calls."""

    def __init__(self, stack):
        self.stack, self.n = stack, 0

    def __call__(self, *arguments):
        self.n += 1
        return self.stack(*arguments)


@pytest.fixture
def put(monkeypatch, caplog):
    """``put(stack)``: in place of the CPU kernel, which nobody has looked at yet; counted."""
    monkeypatch.setattr(first_use, "_faults", {})
    monkeypatch.setattr(first_use, "_sound", set())
    monkeypatch.setattr(first_use, "_said", set())
    monkeypatch.setattr(select, "choose", lambda device, dtype: "cpu")
    caplog.set_level(logging.WARNING, "flowlat")

    def replace(stack):
        counted = Counted(stack)
        monkeypatch.setitem(select.STACKS, "cpu", counted)
        return counted

    return replace


def stack(dtype=torch.float64, batch=7):
    generator = torch.Generator().manual_seed(3)
    shapes = [(batch, 1, 4, 4), (2, 8, 1, 3), (2, 2, 8, 3), (2, 8), (2, 2)]
    x, *rest = (torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes)
    return x, rest[:2], rest[2:]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kernel", FAULTS)
def test_a_wrong_kernel_is_not_used_and_one_line_says_so(kernel, dtype, put, caplog):
    counted, arguments = put(kernel), stack(dtype)
    for spec in (SPEC, SPEC, StencilSpec((4, 4), 1, 3, ("tanh", "tanh"))):
        found = stencil_stack(*arguments, spec)
        assert torch.equal(found, torch_stack(*arguments, spec))
    assert counted.n == 1
    (record,) = caplog.records
    line = record.getMessage()
    assert line.startswith(f"cpu on cpu, {str(dtype).removeprefix('torch.')}: ")
    assert FAULTS[kernel] in line
    assert line.endswith("; plain PyTorch runs instead (arch.kernel=torch by hand)")
    assert "\n" not in line


@pytest.mark.parametrize("kernel", FAULTS)
def test_asked_for_by_name_it_is_an_error(kernel, put, caplog):
    put(kernel)
    for _ in range(2):
        with pytest.raises(KernelError, match=r"^arch\.kernel=cpu: .*kernel=torch runs") as error:
            stencil_stack(*stack(), SPEC, "cpu")
        assert FAULTS[kernel] in str(error.value)
    assert not caplog.records


def test_a_right_kernel_is_compared_once_for_each_kind(put, caplog):
    counted = put(torch_stack)
    for dtype in (torch.float32, torch.float64):
        for spec in (SPEC, StencilSpec((4, 4), 1, 3, ("tanh", "tanh"))):
            before = counted.n
            for batch in (7, 1, 65):
                stencil_stack(*stack(dtype, batch), spec)
            assert counted.n == before + 4
    assert not caplog.records


def test_one_dtype_at_fault_is_one_dtype(put):
    def wrong_in_single(x, weights, biases, spec):
        return torch_stack(x, weights, biases, spec) * (1 + (x.dtype == torch.float32))

    counted = put(wrong_in_single)
    for _ in range(3):
        stencil_stack(*stack(torch.float32), SPEC)
        stencil_stack(*stack(torch.float64), SPEC)
    assert counted.n == 1 + 4


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_are_compared_whatever_the_caller_wants(mode, put, caplog):
    put(wrong_gradient)
    with mode():
        stencil_stack(*stack(), SPEC)
    assert "the gradient in weight 1" in caplog.text


def test_within_a_step_that_is_computed_again(put):
    """Checkpointing counts what is saved: as much the second time, when nothing is compared."""
    put(torch_stack)
    x, weights, biases = stack()
    x.requires_grad_()
    arguments = x, weights, biases, SPEC
    y = torch.utils.checkpoint.checkpoint(stencil_stack, *arguments, use_reentrant=False)
    (found,) = torch.autograd.grad(y.square().sum(), x)
    (expected,) = torch.autograd.grad(torch_stack(*arguments).square().sum(), x)
    assert torch.equal(found, expected)


def test_nothing_is_known_from_nothing(put, caplog):
    """An empty batch, or a NaN from elsewhere: the kernel is looked at when there are numbers."""
    put(wrong_gradient)
    x, weights, biases = stack()
    stencil_stack(x[:0], weights, biases, SPEC)
    assert not caplog.records
    stencil_stack(x, weights, biases, SPEC)
    assert len(caplog.records) == 1
    wrong = Comparison("odd", None, x, torch.neg, torch.abs, lambda: {"x": x})
    assert fault(wrong._replace(inputs=lambda: {"x": x * torch.nan})) is None
    assert fault(wrong) is not None


def test_gradients_are_compared_beyond_weights_that_are_zero(put, caplog):
    """As those of the last layer of a new coupling are."""
    put(wrong_gradient_below)
    x, weights, biases = stack()
    stencil_stack(x, [weights[0], torch.zeros_like(weights[1])], biases, SPEC)
    assert "the gradient in weight 0" in caplog.text


def test_a_right_kernel_is_right_where_an_activation_saturates(put, caplog):
    """1 - tanh(27)^2 is 1e-23, or 0 where tanh is rounded first."""
    spec = StencilSpec((4, 4), 2, 3, ("tanh",))

    def by_exponentials(x, weights, biases, spec):
        z = torch_stack(x, weights, biases, replace(spec, activations=("identity",)))
        return 1 - 2 / ((2 * z).exp() + 1)

    counted = put(by_exponentials)
    ones = torch.ones(5, 1, 4, 4, dtype=torch.float64)
    arguments = ones, [3 * ones[:1, :, :3, :3].reshape(1, 1, 1, 9)], [0 * ones[:1, 0, 0, :1]]
    stencil_stack(*arguments, spec)
    assert not caplog.records
    assert counted.n == 2


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_a_right_kernel_is_right_where_rounding_takes_it_across_a_kink(activation, put, caplog):
    """Of enough sites a few have pre-activations of another sign, and there another derivative."""
    spec = StencilSpec((128, 128), 1, 3, (activation, activation, "tanh"))
    weights = [torch.ones(2, c_out, c_in, 3) for c_in, c_out in ((1, 8), (8, 8), (8, 2))]
    arguments = torch.ones(3, 1, 128, 128), weights, [torch.ones(2, c) for c in (8, 8, 2)]

    def rounded(x, weights, biases, spec):
        return torch_stack(x * (1 + 3e-5), weights, biases, spec)

    def wrong(x, weights, biases, spec):
        return wrong_gradient_below(x * (1 + 3e-5), weights, biases, spec)

    put(rounded)
    stencil_stack(*arguments, spec)
    assert not caplog.records
    first_use._sound.clear()
    put(wrong)
    stencil_stack(*arguments, spec)
    assert "the gradient in weight 0" in caplog.text


def test_too_little_memory_is_no_fault_of_the_kernel(put):
    def too_large(x, weights, biases, spec):
        raise torch.OutOfMemoryError("of the device")

    put(too_large)
    with pytest.raises(torch.OutOfMemoryError):
        stencil_stack(*stack(), SPEC)
    assert not first_use._faults


def test_the_random_numbers_of_the_caller_stay(put):
    put(torch_stack)
    before = torch.get_rng_state()
    stencil_stack(*stack(), SPEC)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_wrong_affine_transform(put, monkeypatch, caplog):
    put(torch_stack)
    module = __import__("sys").modules["flowlat.kernels.affine"]
    monkeypatch.setattr(module, "choose", lambda device, dtype: "cpu")
    monkeypatch.setattr(module, "affine_fused", lambda x, p: affine_reference(x, p[:, [1, 0]]))
    x, params = torch.randn(5, 4, 4), torch.randn(5, 2, 4, 4)
    for _ in range(2):
        for found, expected in zip(affine(x, params), affine_reference(x, params), strict=True):
            assert torch.equal(found, expected)
    (record,) = caplog.records
    assert record.getMessage().startswith("affine on cpu, float32: ")
    assert "(CXX=none by hand)" in record.getMessage()


def test_an_exponential_is_compared_where_a_new_flow_has_none(put, monkeypatch, caplog):
    put(torch_stack)
    module = __import__("sys").modules["flowlat.kernels.affine"]

    def linear(x, params):
        s, t = params.unbind(1)
        return x * (1 + s) + t, s.flatten(1).sum(1)

    monkeypatch.setattr(module, "choose", lambda device, dtype: "cpu")
    monkeypatch.setattr(module, "affine_fused", linear)
    affine(torch.randn(5, 4, 4), torch.zeros(5, 2, 4, 4))
    assert "affine on cpu, float32: " in caplog.text


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_is_no_difference(dtype):
    """Of sums in another order it is a hundred times below the tolerance."""
    right = torch.randn(10_000, dtype=dtype, generator=torch.Generator().manual_seed(0)).cumsum(0)
    rounded = right * (1 + 4 * torch.finfo(dtype).eps)
    assert first_use.difference(rounded, right) < 0.01
    assert first_use.difference(right * 1.1, right) > 1
    assert first_use.difference(right * torch.nan, right) == torch.inf
    zero = torch.zeros(3, dtype=dtype)
    assert first_use.difference(zero, zero) == 0
    assert first_use.difference(zero, zero + torch.inf) == 0  # which rounding may have made NaN


def test_what_is_to_be_zero_may_be_off_by_rounding():
    expected = torch.zeros(3)
    assert first_use.difference(expected + 1e-5, expected) > 1
    assert first_use.difference(expected + 1e-5, expected, rounding=2e-5) == pytest.approx(0.5)
    assert first_use.difference(expected + 1, expected + 1, rounding=2e-5) == 0
