"""The Triton kernels against the reference: under Triton's interpreter, and on a CUDA device.

The interpreter is switched on by TRITON_INTERPRET=1 before triton is imported for the first time,
which torch may do at any moment, and it would stay on for the rest of the process.  So one test
here runs this file again in a process of its own, with the variable set and tensors on the CPU; in
the process of the other tests, the same cases wait for a CUDA device.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import math
import os
import subprocess
import sys
from collections import defaultdict
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from flowlat.kernels import ACTIVATIONS, StencilSpec
from flowlat.kernels.stencil import triton_stencil as ts
from tests.support.reference_stack import reference_stack

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed"
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def on_device(test):
    """A case for the interpreter in its process, for the CUDA device in every other."""
    marks = [needs_triton] if INTERPRETED else [needs_triton, needs_gpu, pytest.mark.gpu]
    for mark in marks:
        test = mark(test)
    return test


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="this is the interpreter's process")
def test_every_case_under_the_interpreter():
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", __file__],
        env=env, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout


def stack(spec: StencilSpec, channels, batch, dtype=torch.float64):
    """x, weights and biases for a spec, random, all with gradients."""
    rng = torch.Generator().manual_seed(0)

    def tensor(*shape: int, scale: float = 1.0) -> Tensor:
        t = torch.randn(shape, generator=rng, dtype=torch.float64) * scale
        return t.to(DEVICE, dtype).requires_grad_()

    r, taps = len(spec.branches), spec.taps
    steps = list(itertools.pairwise(channels))
    weights = [tensor(r, o, i, taps, scale=(i * taps) ** -0.5) for i, o in steps]
    return tensor(batch, channels[0], *spec.shape), weights, [tensor(r, o) for _, o in steps]


def outcome(fn, spec, x, weights, biases, wanted=None):
    """The output and the gradients of a random projection of it."""
    y = fn(x, weights, biases, spec)
    rng = torch.Generator().manual_seed(1)
    gy = torch.randn(y.shape, generator=rng, dtype=torch.float64).to(y)
    inputs = [x, *weights, *biases] if wanted is None else wanted
    return [y.detach(), *torch.autograd.grad(y, inputs, gy)]


def check(spec, channels, batch, inputs=None, tolerance=1e-11):
    x, weights, biases = stack(spec, channels, batch) if inputs is None else inputs
    got = outcome(ts.triton_stack, spec, x, weights, biases)
    want = outcome(reference_stack, spec, x, weights, biases)
    assert not batch or all(t.any() for t in want)
    for a, b in zip(got, want, strict=True):
        assert a.is_contiguous()
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


GEOMETRIES = [
    ((5,), 1), ((2,), 1), ((4, 3), 1), ((2, 4), 2), ((2, 3, 2), 1), ((3, 2, 2), 2), ((2, 2, 3), 3),
    ((2, 2, 1, 3), 1), ((2, 1, 2, 2), 2), ((2, 2, 1, 2), 3),
]  # fmt: skip


@on_device
@pytest.mark.parametrize("f", [1, 3, 5])
@pytest.mark.parametrize("i", range(len(GEOMETRIES)))
def test_geometry(i, f):
    """Every d and k; what else there is to choose differs from case to case."""
    shape, k = GEOMETRIES[i]
    if INTERPRETED and math.comb(len(shape), k) * f**k > 120:
        pytest.skip("too many taps to interpret")
    names = list(ACTIVATIONS)
    acts = (names[(i + f) % 6], names[(i + 2 * f + 1) % 6])
    outputs = (None, "even", "odd")[(i + f // 2) % 3]
    spec = StencilSpec(shape, k, f, acts, (i + f // 2) % 2 == 1, outputs)
    check(spec, (1, 2, 2), (1, 3, 17)[(i // 3 + f // 2) % 3])


@on_device
@pytest.mark.parametrize("activation_last", [False, True])
@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_activation(name, activation_last):
    spec = StencilSpec((4, 2), 1, 3, (name, name), activation_last)
    check(spec, (1, 3, 2), 3)


@on_device
@pytest.mark.parametrize("activation_last", [False, True])
@pytest.mark.parametrize("last", ["identity", "silu"])
@pytest.mark.parametrize("outputs", [None, "even", "odd"])
def test_outputs(outputs, last, activation_last):
    spec = StencilSpec((3, 4), 1, 3, ("leaky_relu", last), activation_last, outputs)
    check(spec, (1, 3, 2), 5)


@on_device
@pytest.mark.parametrize("batch", [0, 1, 3, 17, 65])
def test_batch(batch):
    check(StencilSpec((2, 3), 1, 3, ("tanh", "identity"), outputs="odd"), (1, 3, 2), batch)


@on_device
@pytest.mark.parametrize("channels", [(11, 17, 1), (16, 9, 24), (1, 33, 2)])
def test_channels(channels):
    """More than a block of them, and numbers that no block divides."""
    check(StencilSpec((4,), 1, 3, ("silu", "identity")), channels, 3)


@on_device
@pytest.mark.parametrize("name", ["tanh", "silu", "gelu"])
def test_far_from_zero(name):
    spec = StencilSpec((4,), 1, 1, (name,))
    x = torch.tensor([0, 1e-9, 1e-3, 0.6, 0.65, 5, 50, 800.0], device=DEVICE, dtype=torch.float64)
    x = torch.cat([x, -x]).reshape(4, 1, 4).requires_grad_()
    one, zero = torch.ones(1, 1, 1, 1).to(x), torch.zeros(1, 1).to(x)
    inputs = x, [one.requires_grad_()], [zero.requires_grad_()]
    check(spec, None, 4, inputs, tolerance=1e-14)


@on_device
def test_not_contiguous():
    spec = StencilSpec((2, 3), 1, 3, ("tanh", "silu"), outputs="even")
    x, weights, biases = stack(spec, (2, 3, 2), 3)

    def strided(t: Tensor) -> Tensor:
        t = t.detach().mT.contiguous().mT
        assert not t.is_contiguous()
        return t.requires_grad_()

    check(spec, None, 3, (strided(x), [strided(w) for w in weights], [strided(b) for b in biases]))


@on_device
def test_inputs_stay_as_they_are():
    spec = StencilSpec((4,), 1, 3, ("relu", "identity", "relu"), True)
    x, weights, biases = stack(spec, (1, 2, 2, 1), 1)  # one entry: the layouts coincide
    y = ts.triton_stack(x, weights, biases, spec)
    gy = torch.ones_like(y)
    before = [t.detach().clone() for t in (x, y, *weights, *biases)]
    y.backward(gy)
    for t, old in zip((x, y, *weights, *biases), before, strict=True):
        assert torch.equal(t, old)
    assert torch.equal(gy, torch.ones_like(gy))


@on_device
@pytest.mark.parametrize("wanted", ["x", "weight 0", "bias 1", "weight 1", "x and bias 0"])
def test_only_the_gradients_wanted(wanted):
    spec = StencilSpec((3, 2), 1, 3, ("tanh", "gelu"))
    x, weights, biases = stack(spec, (1, 2, 2), 3)
    named = {"x": x, "weight 0": weights[0], "weight 1": weights[1]}
    named |= {"bias 0": biases[0], "bias 1": biases[1]}
    want = outcome(reference_stack, spec, x, weights, biases, list(named.values()))
    want = dict(zip(named, want[1:], strict=True))
    names = wanted.split(" and ")
    for name, t in named.items():
        t.requires_grad_(name in names)
    got = outcome(ts.triton_stack, spec, x, weights, biases, [named[n] for n in names])
    for name, grad in zip(names, got[1:], strict=True):
        torch.testing.assert_close(grad, want[name], rtol=1e-11, atol=1e-11)


@on_device
def test_gradients_from_unwanted_sites_are_ignored():
    spec = StencilSpec((4,), 1, 3, ("tanh", "identity"), outputs="even")
    x, weights, biases = stack(spec, (1, 2, 1), 3)
    y = ts.triton_stack(x, weights, biases, spec)
    assert not y[..., 1::2].any()
    gy = torch.ones_like(y)
    gy[..., 1::2] = float("nan")
    for grad in torch.autograd.grad(y, [x, *weights, *biases], gy):
        assert grad.isfinite().all()


@on_device
@pytest.mark.parametrize("programs", [1, 3])
def test_many_tiles_a_program(monkeypatch, programs):
    """A weight gradient whose programs loop over tiles, next to tiles of the largest size."""
    monkeypatch.setattr(ts, "WEIGHT_PROGRAMS", programs)
    monkeypatch.setattr(ts, "TILES", 0)
    spec = StencilSpec((5, 4), 2, 3, ("silu", "tanh"), outputs="odd")
    check(spec, (1, 2, 2), 35)


@on_device
def test_single_precision():
    spec = StencilSpec((4, 3), 1, 3, ("tanh", "gelu", "identity"), outputs="even")
    x, weights, biases = stack(spec, (1, 4, 4, 2), 17)
    want = outcome(reference_stack, spec, x, weights, biases)
    single = [t.detach().float().requires_grad_() for t in (x, *weights, *biases)]
    got = outcome(ts.triton_stack, spec, single[0], single[1:4], single[4:])
    for a, b in zip(got, want, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b.float(), rtol=1e-5, atol=1e-5 * b.abs().max().item())


@on_device
def test_same_bits_every_time():
    spec = StencilSpec((4, 3), 1, 3, ("tanh", "identity"))
    x, weights, biases = stack(spec, (1, 4, 2), 17, torch.float32)
    first = outcome(ts.triton_stack, spec, x, weights, biases)
    again = outcome(ts.triton_stack, spec, x, weights, biases)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@on_device
def test_half_precision_is_refused():
    spec = StencilSpec((4,), 1, 3, ("relu",))
    x, weights, biases = stack(spec, (1, 1), 2, torch.float16)
    with pytest.raises(RuntimeError, match=r"float32 and float64, got torch\.float16"):
        ts.triton_stack(x, weights, biases, spec)


@pytest.mark.skipif(INTERPRETED, reason="the interpreter takes CPU tensors")
def test_cpu_tensors_are_refused():
    spec = StencilSpec((4,), 1, 1, ("relu",))
    x, weights, biases = torch.ones(1, 1, 4), [torch.ones(1, 1, 1, 1)], [torch.ones(1, 1)]
    with pytest.raises(RuntimeError, match="on a CUDA device, got cpu"):
        ts.triton_stack(x, weights, biases, spec)


@pytest.mark.skipif(INTERPRETED, reason="once is enough")
def test_imports_without_triton():
    code = (
        "import sys; sys.modules['triton'] = None; sys.modules['triton.language'] = None\n"
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'triton' else find(name, *a)\n"
        "from flowlat.kernels.stencil import triton_stencil\n"
        "assert triton_stencil.available() is False\n"
    )
    env = {**os.environ, "TRITON_INTERPRET": "1"}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


class Compiler:
    """In place of the module of kernels: what is launched is compiled for a GPU, and not run."""

    TYPES: ClassVar = {torch.float32: "*fp32", torch.float64: "*fp64", torch.int32: "*i32"}

    def __init__(self, capability: int):
        self.capability = capability
        self.compiled: set[str] = set()

    def __getattr__(self, name):
        return defaultdict(lambda: functools.partial(self.compile, name))  # whatever the grid

    def compile(self, name, *arguments, num_warps, enable_fp_fusion, **constants):
        import triton
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        from flowlat.kernels.stencil import triton_kernels

        function = getattr(triton_kernels, name)
        signature = dict.fromkeys(function.arg_names, "constexpr")
        for parameter, value in zip(function.arg_names, arguments, strict=False):
            signature[parameter] = self.TYPES[value.dtype] if isinstance(value, Tensor) else "i32"
        kernel = triton.compile(
            ASTSource(function, signature, constants),
            target=GPUTarget("cuda", self.capability, 32),
            options={"num_warps": num_warps, "enable_fp_fusion": enable_fp_fusion},
        )
        assert kernel.asm["cubin"]
        self.compiled.add(name)


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="the interpreter compiles nothing")
@pytest.mark.parametrize(
    ("capability", "dtype", "activation"),
    [(80, torch.float64, "gelu"), (90, torch.float32, "tanh")],
)
def test_kernels_compile_where_there_is_no_device(monkeypatch, capability, dtype, activation):
    """For an A100 and for an H100."""
    compiler = Compiler(capability)
    monkeypatch.setattr(ts, "_kernels", lambda: compiler)
    monkeypatch.setattr(ts, "_interpreted", lambda: True)  # tensors of the CPU will do
    spec = StencilSpec((4, 4), 1, 3, ("leaky_relu", activation), outputs="even")
    generator = torch.Generator().manual_seed(0)
    x, *parameters = (
        torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()
        for shape in [(32, 1, 4, 4), (2, 4, 1, 3), (2, 2, 4, 3), (2, 4), (2, 2)]
    )
    ts.triton_stack(x, parameters[:2], parameters[2:], spec).sum().backward()
    assert compiler.compiled == {"forward", "delta", "input_grad", "weight_grad"}


@pytest.mark.skipif(INTERPRETED, reason="needs a CUDA device")
@on_device
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_cuda_graph_records_a_step(dtype):
    spec = StencilSpec((4, 4), 1, 3, ("leaky_relu", "tanh", "identity"), outputs="even")
    x, weights, biases = stack(spec, (1, 8, 8, 2), 64, dtype)
    inputs = [x, *weights, *biases]

    def step() -> list[Tensor]:
        y = ts.triton_stack(x, weights, biases, spec)
        return [y, *torch.autograd.grad(y.square().sum(), inputs)]

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        recorded = step()
    with torch.no_grad():
        x.normal_()
    graph.replay()
    for a, b in zip(recorded, step(), strict=True):
        assert torch.equal(a, b)
