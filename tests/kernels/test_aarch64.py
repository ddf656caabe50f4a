"""The fused solver on NEON, compiled for aarch64 and emulated, against plain PyTorch here.

``.ci/aarch64`` runs all tests of the kernels on an emulated aarch64, in a Python of its own.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from flowlat.kernels import Tables
from flowlat.kernels.compile import FLAGS, FOLDER
from flowlat.kernels.continuous.fused import plan
from tests.kernels.test_fused import CLOSE, moved

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
    """The solver for aarch64 with its main program, static: it needs no other file."""
    made = tmp_path_factory.mktemp("aarch64") / "solve"
    source = Path(__file__).with_name("solve_parts.cpp")
    # -O1: a third of the time to compile, and the same vector instructions
    command = [COMPILER, *FLAGS, "-O1", "-static", f"-I{FOLDER}", str(source), "-o", str(made)]
    subprocess.run(command, check=True)
    return made


def raw(part):
    return part.detach().numpy().tobytes() if isinstance(part, torch.Tensor) else bytes(part)


def emulated(program, flow, x, gradients, tables):
    """The solution, its log_det, and the gradients of the field and the tables."""
    method, n_steps = flow._method()
    tableau = method.nodes, method.stages, method.weights
    planned = plan(x.shape[1:], tables.coefficients.shape, *tableau, n_steps, 1, flow.odd)
    shell, sides, node, a, b = planned.alive
    described = planned.method, node, a, b, planned.system, sides, shell, planned.task(len(x))
    parts = list(map(raw, (*described, x, *gradients, *tables)))
    done = subprocess.run(
        [EMULATOR, str(program), "double" if x.dtype == torch.float64 else "single"],
        input=b"".join(len(part).to_bytes(8, "little") + part for part in parts),
        capture_output=True,
        check=True,
    )
    like = x, gradients[1], x, *tables
    out = torch.frombuffer(bytearray(done.stdout), dtype=x.dtype)
    split = out.split([part.numel() for part in like])
    return [part.reshape(shape.shape) for part, shape in zip(split, like, strict=True)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("odd", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_aarch64_computes_is_what_pytorch_computes(program, shape, odd, dtype):
    flow = moved(shape, odd, dtype)
    x = torch.randn(5, *shape, dtype=dtype, requires_grad=True)
    # by themselves: the weights are computed from the filters
    tables = Tables(*(table.detach().requires_grad_() for table in flow._tables(1)))
    expected = flow._solve_plainly(x, tables, 1)
    gradients = [torch.randn_like(part) for part in expected]
    expected = [*expected, *torch.autograd.grad(expected, (x, *tables), gradients)]
    found = emulated(program, flow, x, gradients, tables)
    relative, absolute = CLOSE[dtype]
    for a, b in zip(found, expected, strict=True):
        assert (a - b).norm() <= relative * b.norm() + absolute
