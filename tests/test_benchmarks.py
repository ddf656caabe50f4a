"""The benchmarks run in their smallest form, and the yardstick is the same flow as ours."""

import json
from importlib import import_module
from itertools import product

import pytest
import torch

from benchmarks import startup, step, transcription
from benchmarks.flow import __main__ as flow
from benchmarks.flow.checkout import package
from flowlat.actions import Phi4
from flowlat.archs import combconv
from flowlat.lattice import Lattice


def smallest(tmp_path, *arguments):
    output = tmp_path / "step.json"
    small = ["--cases", "d2_L8_conv", "--rounds", "1", "--batch", "2", "--output", str(output)]
    step.main([*small, *arguments])
    content = json.loads(output.read_text())
    assert {"processor", "gpu", "torch", "date"} <= content["environment"].keys()
    for row in content["rows"]:
        assert row["ms"] > 0
        assert row["gflops"] > 0
    return content["rows"]


def test_step_in_its_smallest_form(tmp_path):
    options = ["--device", "cpu", "--dtypes", "float32", "float64", "--threads", "1"]
    rows = smallest(tmp_path, *options)
    found = {(r["kernel"], r["mode"], r["dtype"]) for r in rows}
    kernels = {"published", *step.kernels_of("cpu")}
    assert {"published", "torch"} <= kernels
    assert found == set(product(kernels, ["train", "sample"], ["float32", "float64"]))
    assert step.markdown(rows).count("\n") == len(rows) + 1


def test_one_thread_and_all_by_default(tmp_path, monkeypatch):
    """Without running anything: beside other tests, two threads take a minute."""
    monkeypatch.setattr(step, "_memory_of", lambda call: None)
    monkeypatch.setattr(step, "interleave", lambda calls, *_: {name: [1.0] for name in calls})
    torch.set_num_threads(2)
    rows = smallest(tmp_path, "--device", "cpu")
    assert {(r["dtype"], r["threads"]) for r in rows} == {*product(["float32", "float64"], [1, 2])}
    torch.set_num_threads(1)
    options = step.parse(["--device", "cpu"])
    assert options.threads == [1]
    assert options.batch == 64
    assert options.output is None  # the table of the README


def test_flow_in_its_smallest_form(tmp_path, monkeypatch):
    """With this version as the one before: each has modules of its own."""
    monkeypatch.setattr(flow, "memory", lambda *_: 1.0)
    output = tmp_path / "flow.json"
    small = ["--cases", "2d_L8", "--rounds", "1", "--output", str(output)]
    flow.main([*small, "--before", str(step.FOLDER.parent)])
    rows = json.loads(output.read_text())["rows"]
    assert [row["solver"] for row in rows] == [flow.BEFORE, flow.TORCH, flow.FUSED]
    assert all(row["train_ms"] > 0 and row["sample_ms"] > 0 for row in rows)
    with package(step.FOLDER.parent) as get:
        assert get("flowlat.archs").combconv is not combconv
    assert import_module("flowlat.archs").combconv is combconv
    assert flow.markdown(rows).count("\n") == len(rows) + 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.gpu
def test_step_on_a_cuda_device(tmp_path):
    rows = smallest(tmp_path, "--dtypes", "float32")
    assert {r["kernel"] for r in rows} == {"published", *step.kernels_of("cuda")}
    for row in rows:
        assert 0 < row["share_of_bandwidth"] < 1
        assert 0 < row["share_of_peak"] < 1


def test_the_table_has_the_bandwidth_where_it_was_measured():
    row = {"case": "d2", "mode": "train", "dtype": "float32", "threads": 1, "kernel": "triton"}
    row |= {"ms": 1.0, "spread_ms": 0.1, "ratio": 10.0, "gflops": 5000.0, "share_of_peak": 0.1}
    row |= {"gbytes": 1000.0, "share_of_bandwidth": 0.5, "peak_memory_mb": None}
    header, _, line = step.markdown([row]).splitlines()
    assert header.count("|") == line.count("|")
    assert "| 1000 | 50% | - |" in line


def test_gflop_by_hand():
    """d = 2, L = 8, k = 2: 9 taps, 8 + 64 + 16 channel pairs."""
    case = step.Case("x", (8, 8), 2, n_couplings=1)
    assert case.gflop(1, training=False) == pytest.approx(1e-9 * 2 * 64 * 9 * 88)


def test_traffic_by_hand():
    """1 + 8, 8 + 8, 8 + 2 channels forward; 2 + 8, 16 + 8, 16 + 2 more for a gradient."""
    case = step.Case("x", (8, 8), 2, n_couplings=1)
    assert case.gbyte(1, False, torch.float32) == pytest.approx(1e-9 * 64 * 4 * 35)
    assert case.gbyte(1, True, torch.float64) == pytest.approx(1e-9 * 64 * 8 * (35 + 52))


def test_the_transcription_is_the_same_flow():
    shape, k = (4, 4, 4), 2
    published = transcription.Flow(shape, k, 2).double()
    ours = combconv(Lattice(shape), k=k, n_couplings=2, block=None, final_tanh=True).double()
    for theirs, coupling in zip(published.couplings, ours.bijections, strict=True):
        for layer, (w, b) in enumerate(zip(coupling.net.weights, coupling.net.biases, strict=True)):
            for r, convolution in enumerate(theirs.net[layer].convolutions):
                w.data[r] = convolution.weight.data.flatten(2)
                b.data[r] = convolution.bias.data
    z = torch.randn(5, *shape, dtype=torch.float64)
    phi, log_q = published(z)
    found, log_det = ours(z)
    torch.testing.assert_close(found, phi)
    log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).flatten(1).sum(1)
    torch.testing.assert_close(log_prior - log_det, log_q)
    torch.testing.assert_close(transcription.action(phi), Phi4(-4.0, 5.113)(phi))


def test_the_startup_benchmark_runs(tmp_path):
    commands = ["train.py --help", "train.py, first line"]
    startup.main(["--commands", *commands, "--rounds", "1", "--output", str(tmp_path / "x")])
    rows = json.loads((tmp_path / "x").read_text())["rows"]
    assert [row["command"] for row in rows] == commands
    assert all(0.05 < row["cpu_seconds"]["here"][0] < 60 for row in rows)
    assert startup.markdown(rows).count("\n") == len(rows) + 1
