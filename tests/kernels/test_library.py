"""The memory of the compiled kernels, and calls of which nobody asks for gradients."""

import gc

import pytest
import torch

from flowlat.actions import Phi4
from flowlat.kernels.affine import affine
from flowlat.kernels.library import Buffer
from tests.support.helpers import moved_flow


def test_memory_is_used_again_and_goes_back_at_the_end_of_a_run(monkeypatch):
    monkeypatch.setattr(Buffer, "pool", {})
    first = Buffer.tensor(1000)
    address = first.data_ptr()
    del first
    gc.collect()
    assert [len(free) for free in Buffer.pool.values()] == [1]
    again = Buffer.tensor(1000)
    assert again.data_ptr() == address
    del again
    gc.collect()
    Buffer.release()
    assert not Buffer.pool


@pytest.mark.parametrize("names", [(), ("arch=combconv_k1",), ("prior.shift=0.5",)])
def test_flows_and_actions(names):
    """Forward, inverse, S, and the score."""
    flow, action = moved_flow("lattice.shape=[4,6]", *names).eval(), Phi4(-4.0, 8.0)
    noise = flow.noise(5, torch.Generator().manual_seed(1))

    def results():
        phi, log_q = flow(noise)
        return phi, log_q, flow.log_prob(phi), action(phi)

    expected = [*results(), *flow.bijection.with_score(noise, noise)]
    with torch.inference_mode():
        inferred = results()
    with torch.no_grad():
        found = [*results(), *flow.bijection.with_score(noise, noise)]
    assert expected[0].requires_grad
    assert not any(tensor.requires_grad for tensor in found)
    assert all(map(torch.equal, found, expected))
    assert all(map(torch.equal, inferred, found[:4]))


def test_affine():
    x, params = torch.randn(3, 4, 4), torch.randn(3, 2, 4, 4, requires_grad=True)
    with torch.no_grad():
        found = affine(x, params)
    expected = affine(x, params)
    assert expected[0].requires_grad
    assert not found[0].requires_grad
    assert all(map(torch.equal, found, expected))
