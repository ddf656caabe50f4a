"""What a command does without PyTorch and Lightning, which take seconds to import."""

import json
import subprocess
import sys

import pytest

from tests.support.helpers import ROOT

HEAVY = {"torch", "lightning", "torchmetrics", "wandb", "matplotlib", "h5py", "scipy", "pandas"}
HEAVY |= {"torch._dynamo", "sympy"}
#: the script with its arguments; at its end, on stderr, which of the heavy modules it imported
RUN = f"""
import atexit, json, runpy, sys
sys.argv = sys.argv[1:]
atexit.register(lambda: print(json.dumps(sorted({HEAVY} & set(sys.modules))), file=sys.stderr))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(code: str, *arguments: str, folder=ROOT) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("argument", "says"),
    [("--help", "S = sum_x"), ("no_such_key=1", "no_such_key"), ("lattice=8d", "lattice=8d")],
)
@pytest.mark.parametrize("script", ["train.py", "sample.py", "flowlat/scan/__main__.py"])
def test_what_needs_nothing_heavy(script, argument, says, tmp_path):
    done = run(RUN, str(ROOT / script), argument, folder=tmp_path)
    assert says in done.stdout + done.stderr
    assert json.loads(done.stderr.splitlines()[-1]) == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("script", ["train.py", "sample.py"])
def test_the_first_line_comes_before_pytorch(script, tmp_path):
    without = f"import sys; sys.modules['torch'] = None\n{RUN}"
    done = run(without, str(ROOT / script), "hydra.run.dir=run", folder=tmp_path)
    assert done.stdout == "Run folder: run\n"
    assert "import of torch halted" in done.stderr


def test_a_value_of_the_wrong_type_is_found_before_lightning(tmp_path):
    done = run(RUN, str(ROOT / "train.py"), "seed=a", folder=tmp_path)
    error, imported = done.stderr.splitlines()
    assert error == "error: seed='a': must be a valid integer"
    assert not {"lightning", "torchmetrics", "matplotlib", "scipy"} & set(json.loads(imported))


def test_sampling_needs_no_lightning():
    done = run("import sys, flowlat.sampling.draw; print(*sys.modules)")
    assert not {"lightning", "torchmetrics", "wandb", "pyerrors"} & set(done.stdout.split())


def test_sampling_needs_no_compiler_of_pytorch(tmp_path):
    """Which takes seconds to import: gradients of outputs, and forward mode, bring it in."""
    options = ["threads=1", "lattice.shape=[4,4]", "n_samples=64", "batch_size=32"]
    done = run(RUN, str(ROOT / "sample.py"), *options, folder=tmp_path)
    assert "ensemble.h5" in done.stdout
    assert not {"torch._dynamo", "sympy", "lightning"} & set(
        json.loads(done.stderr.splitlines()[-1])
    )


def test_the_public_names_are_there():
    names = "__version__, build_flow, compose, load_flow"
    done = run(f"import flowlat; from flowlat import {names}; print(build_flow, flowlat.no_such)")
    assert "module 'flowlat' has no attribute 'no_such'" in done.stderr
