"""The benchmarks run in their smallest form, and the yardstick is the same flow as ours."""

import json

import pytest
import torch

from benchmarks import step, transcription
from flowlat.actions import Phi4
from flowlat.archs import combconv
from flowlat.lattice import Lattice


def test_step_in_its_smallest_form(tmp_path):
    output = tmp_path / "step.json"
    arguments = ["--cases", "d2_L8_conv", "--rounds", "1", "--batch", "2", "--threads", "1"]
    step.main([*arguments, "--dtypes", "float32", "--output", str(output)])
    content = json.loads(output.read_text())
    assert {"processor", "torch", "date"} <= content["environment"].keys()
    kernels = {row["kernel"] for row in content["rows"]}
    assert {"published", "torch"} <= kernels
    for row in content["rows"]:
        assert row["ms"] > 0
        assert row["gflops"] > 0


def test_gflop_by_hand():
    """d = 2, L = 8, k = 2: 9 taps, 8 + 64 + 16 channel pairs."""
    case = step.Case("x", (8, 8), 2, n_couplings=1)
    assert case.gflop(1, training=False) == pytest.approx(1e-9 * 2 * 64 * 9 * 88)


def test_the_transcription_is_the_same_flow():
    shape, k = (4, 4, 4), 2
    published = transcription.Flow(shape, k, 2).double()
    ours = combconv(Lattice(shape), k=k, n_couplings=2, final_tanh=True).double()
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
