"""The solver and the stencils on NEON, compiled for aarch64 and emulated, against PyTorch here.

``.ci/aarch64`` runs all tests of the kernels on an emulated aarch64, in a Python of its own.
"""

import ctypes
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
import torch

from flowlat.kernels import StencilSpec, Tables
from flowlat.kernels.compile import FLAGS, FOLDER
from flowlat.kernels.continuous.fused import plan as plan_of_flow
from flowlat.kernels.stencil.cpu import Call
from flowlat.kernels.stencil.cpu import plan as plan_of_stack
from tests.kernels.test_fused import CLOSE, moved
from tests.kernels.test_stencils import outputs_and_gradients, stack

COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
SHAPES = [(7,), (16, 12), (4, 4, 4), (2, 3, 4, 5)]

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.skipif(
        not (shutil.which(COMPILER) and shutil.which(EMULATOR)),
        reason=f"needs {COMPILER} and {EMULATOR}: Debian's g++-aarch64-linux-gnu and qemu-user",
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """``program(name)``: NAME_parts.cpp for aarch64, static: it needs no other file."""

    @cache
    def compiled(name):
        made = tmp_path_factory.mktemp("aarch64") / name
        source = Path(__file__).with_name(f"{name}_parts.cpp")
        # -O1: a third of the time to compile, and the same vector instructions
        command = [COMPILER, *FLAGS, "-O1", "-static", f"-I{FOLDER}", str(source), "-o", str(made)]
        subprocess.run(command, check=True)
        return made

    return compiled


def raw(part):
    return part.detach().numpy().tobytes() if isinstance(part, torch.Tensor) else bytes(part)


def emulated(program, parts, like):
    """What a program makes of the parts: tensors like these."""
    parts = list(map(raw, parts))
    done = subprocess.run(
        [EMULATOR, str(program), "double" if like[0].dtype == torch.float64 else "single"],
        input=b"".join(len(part).to_bytes(8, "little") + part for part in parts),
        capture_output=True,
        check=True,
    )
    out = torch.frombuffer(bytearray(done.stdout), dtype=like[0].dtype)
    split = out.split([part.numel() for part in like])
    return [part.reshape(shape.shape) for part, shape in zip(split, like, strict=True)]


def assert_close(found, expected):
    relative, absolute = CLOSE[found[0].dtype]
    for a, b in zip(found, expected, strict=True):
        assert (a - b).norm() <= relative * b.norm() + absolute


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("odd", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_solver(program, shape, odd, dtype):
    flow = moved(shape, odd, dtype)
    x = torch.randn(5, *shape, dtype=dtype, requires_grad=True)
    # by themselves: the weights are computed from the filters
    tables = Tables(*(table.detach().requires_grad_() for table in flow._tables(1)))
    expected = flow._solve_plainly(x, tables, 1)
    gradients = [torch.randn_like(part) for part in expected]
    expected = [*expected, *torch.autograd.grad(expected, (x, *tables), gradients)]
    method, n_steps = flow._method()
    tableau = method.nodes, method.stages, method.weights
    planned = plan_of_flow(shape, tables.coefficients.shape, *tableau, n_steps, 1, odd)
    shell, sides, node, a, b = planned.alive
    described = planned.method, node, a, b, planned.system, sides, shell, planned.task(len(x))
    parts = *described, x, *gradients, *tables
    assert_close(emulated(program("solve"), parts, expected), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("activation", ["leaky_relu", "tanh", "silu", "gelu"])
@pytest.mark.parametrize(("shape", "k"), [((7,), 1), ((4, 6), 2), ((2, 3, 4, 5), 1)])
def test_the_stencils(program, shape, k, activation, dtype):
    # 15 channels are groups of 8, 4, 2 and 1
    spec = StencilSpec(shape, k, 3, (activation, activation, "identity"), outputs="even")
    x, weights, biases = stack(spec, (2, 15, 8, 1), 5, dtype)
    expected = outputs_and_gradients(x, weights, biases, spec)
    cotangent = torch.cos(torch.arange(expected[0].numel(), dtype=dtype))
    planned = plan_of_stack(spec, (2, 15, 8, 1))
    layers = planned.alive[0]
    sites = [
        ctypes.string_at(address, 4 * n)
        for layer in layers
        for address, n in (
            (layer.neighbours, layer.branches * spec.n_sites * layer.taps),
            (layer.outputs, layer.n_outputs),
        )
    ]
    described = planned.stack, layers, *sites, Call(batch=len(x), threads=1)
    parts = *described, x, cotangent, *weights, *biases
    assert_close(emulated(program("stack"), parts, expected), expected)
