"""Tables that a continuous flow keeps without gradients are those of its parameters."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import prune, vector_to_parameters

from flowlat.bijections import Continuous
from flowlat.lattice import Lattice
from flowlat.utils.gradients import held_fixed


@pytest.fixture
def counted(monkeypatch):
    """``(flow, takes)``: how often tables are computed in a call; the result is right anyway."""
    calls = []
    original = Continuous._tables_of

    def tables_of(self, *arguments):
        calls.append(1)
        return original(self, *arguments)

    monkeypatch.setattr(Continuous, "_tables_of", tables_of)
    torch.manual_seed(1)
    flow = Continuous(Lattice((4, 4)), 2, 4, odd=False)
    for parameter in flow.parameters():
        nn.init.normal_(parameter, std=0.1)

    def takes(flow, sign=1):
        before = len(calls)
        tables = flow._tables(sign)
        n = len(calls) - before
        parameters = flow.linear, flow.first, flow.second, flow.coefficients
        expected = original(flow, (*flow._method(), sign), parameters)
        assert all(map(torch.equal, tables, expected))
        return n

    return flow, takes


def test_computed_once_without_gradients_and_each_time_with_them(counted):
    flow, takes = counted
    assert (takes(flow), takes(flow)) == (1, 1)
    assert flow._tables(1).first.requires_grad
    with torch.no_grad():
        assert [takes(flow, sign) for sign in (1, -1, 1, -1)] == [1, 1, 0, 0]
        assert [takes(flow.eval()) for _ in range(2)] == [1, 0]
        flow.evaluation_steps = 5
        assert [takes(flow) for _ in range(2)] == [1, 0]
    with held_fixed(flow):  # as a Hybrid Monte Carlo in the field has it
        assert takes(flow) == 0


def write(flow):
    flow.linear.data[0] = 5.0


def write_behind_its_back(flow):
    flow.linear.detach().numpy()[0] = 6.0


def load(flow):
    flow.load_state_dict(
        {name: t + 1 for name, t in flow.state_dict().items() if name[0] != "_"}, strict=False
    )


def replace(flow):
    flow.first = nn.Parameter(flow.first.detach() + 1)


def from_a_vector(flow):
    vector_to_parameters(torch.rand(sum(p.numel() for p in flow.parameters())), flow.parameters())


def step(flow):
    optimizer = torch.optim.Adam(flow.parameters(), fused=True)
    for parameter in flow.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()


@pytest.mark.parametrize(
    "change", [write, write_behind_its_back, load, replace, from_a_vector, step, nn.Module.double]
)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_other_values_are_seen_however_they_came(change, mode, counted):
    flow, takes = counted
    with mode():
        assert (takes(flow), takes(flow)) == (1, 0)
        change(flow)
        assert (takes(flow), takes(flow)) == (1, 0)


@torch.no_grad()
def test_what_a_hook_makes_of_a_parameter_is_not_kept(counted):
    flow, takes = counted
    takes(flow)
    prune.l1_unstructured(flow, "coefficients", 0.5)
    assert (takes(flow), takes(flow)) == (1, 1)
    prune.remove(flow, "coefficients")
    assert (takes(flow), takes(flow)) == (1, 0)


@torch.no_grad()
def test_nothing_is_kept_of_another_precision(counted):
    flow, takes = counted
    with torch.autocast("cpu", dtype=torch.bfloat16):
        flow._tables(1)
    assert takes(flow) == 1


@torch.no_grad()
def test_copies_are_apart(counted):
    flow, takes = counted
    takes(flow)
    for other, again in (
        (copy.deepcopy(flow), 0),
        (pickle.loads(pickle.dumps(flow)), 0),
        (copy.copy(flow), 1),  # which has the same dicts
    ):
        other._parameters = {**other._parameters, "linear": nn.Parameter(flow.linear + 1)}
        assert takes(other) == 1
        assert takes(flow) == again


def test_kept_in_inference_and_of_use_for_gradients_in_a_field(counted):
    """PyTorch refuses to save what was made in inference mode for a backward."""
    flow, _ = counted
    with torch.inference_mode():
        flow._tables(1)
    x = torch.randn(2, 4, 4, requires_grad=True)
    with held_fixed(flow):
        y, log_det = flow(x)
        (gradient,) = torch.autograd.grad(y.sum() + log_det.sum(), x)
    y, log_det = flow(x)
    assert torch.equal(gradient, torch.autograd.grad(y.sum() + log_det.sum(), x)[0])
