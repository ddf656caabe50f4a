"""The compiled kernel's cache, and what happens without a compiler."""

import os
import shutil
import subprocess
import sys

import pytest

from flowlat.kernels import available_kernels
from flowlat.kernels import compile as build

PROGRAM = """
import logging, torch
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
from flowlat.kernels import StencilSpec, stencil_stack
spec = StencilSpec((4, 4), 1, 3, ("tanh",))
w, b = torch.ones(2, 1, 1, 3), torch.zeros(2, 1)
for _ in range(2):
    y = stencil_stack(torch.ones(2, 1, 4, 4), [w], [b], spec)
print(y.sum().item())
"""

needs_compiler = pytest.mark.skipif(
    "cpu" not in available_kernels(), reason="no C++ compiler on this machine"
)


def start(cache, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "XDG_CACHE_HOME": str(cache), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@needs_compiler
def test_two_processes_at_once_and_a_damaged_file(tmp_path):
    quick = tmp_path / "c++"  # the code is no better for it, and there five times sooner
    compiler = next(filter(None, map(shutil.which, [os.environ.get("CXX", ""), *build.COMPILERS])))
    quick.write_text(f'#!/bin/sh\nexec {compiler} "$@" -O0\n')
    quick.chmod(0o755)
    for process in [start(tmp_path, CXX=str(quick)), start(tmp_path, CXX=str(quick))]:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert err.count("compiling the kernels, once for this machine") <= 1
        assert err.count("stencil kernel for cpu, float32: cpu") == 1
    folder = tmp_path / "flowlat" / "kernels"
    (library,) = folder.iterdir()  # no partial file is left
    assert folder.stat().st_mode & 0o777 == 0o700
    library.write_bytes(b"truncated")
    process = start(tmp_path, CXX=str(quick))
    again, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert again == out
    assert library.stat().st_size > 1000


def test_without_a_compiler_plain_pytorch_runs_and_one_line_says_so(tmp_path):
    out, err = start(tmp_path, CXX="no-such-compiler").communicate(timeout=120)
    assert float(out) != 0
    assert err.count("WARNING no fused CPU kernel") == 1
    assert "no-such-compiler" in err
    assert "Traceback" not in err


def test_a_cache_that_others_can_write_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build.cache_dir().chmod(0o777)
    with pytest.raises(RuntimeError, match="can be written by others"):
        build.cache_dir()


def test_a_failing_compilation_is_one_line(tmp_path):
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho 'line one' >&2\necho 'line two' >&2\nexit 1\n")
    compiler.chmod(0o755)
    with pytest.raises(RuntimeError, match=r"line one$"):
        build.run([str(compiler)])
