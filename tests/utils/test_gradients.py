"""What is kept where no gradients are computed is what would be computed anew."""

import copy

import pytest
import torch
from torch import Tensor, nn

from flowlat.utils.gradients import cached_without_gradients, held_fixed
from tests.support.helpers import moved_flow


class Doubled(nn.Module):
    def __init__(self, value: float = 1.0):
        super().__init__()
        self.value = nn.Parameter(torch.tensor([value]))
        self.calls = 0

    @cached_without_gradients
    def times(self, factor: float) -> Tensor:
        self.calls += 1
        return factor * self.value


def count(module: Doubled, factor: float = 2.0) -> int:
    """Of the calls that this one takes; its result is right in any case."""
    before = module.calls
    torch.testing.assert_close(module.times(factor), factor * module.value, rtol=0, atol=0)
    return module.calls - before


def test_computed_once_without_gradients_and_each_time_with_them():
    module = Doubled()
    assert (count(module), count(module)) == (1, 1)
    assert module.times(2.0).requires_grad
    with torch.no_grad():
        assert [count(module) for _ in range(3)] == [1, 0, 0]
    with held_fixed(module):  # as a Hybrid Monte Carlo in the field has it
        assert count(module) == 0


def write(module: Doubled) -> None:
    module.value.data[0] = 5.0


def write_behind_its_back(module: Doubled) -> None:
    module.value.detach().numpy()[0] = 6.0


def load(module: Doubled) -> None:
    module.load_state_dict({"value": torch.tensor([7.0])})


def replace(module: Doubled) -> None:
    module.value = nn.Parameter(torch.tensor([8.0]))


def step(module: Doubled) -> None:
    optimizer = torch.optim.Adam(module.parameters(), fused=True)
    module.value.grad = torch.ones(1)
    optimizer.step()


@pytest.mark.parametrize("change", [write, write_behind_its_back, load, replace, step])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_another_value_is_seen_however_it_came(change, mode):
    module = Doubled()
    with mode():
        assert (count(module), count(module)) == (1, 0)
        change(module)
        assert (count(module), count(module)) == (1, 0)


@torch.no_grad()
def test_arguments_precision_and_modules_are_apart():
    module, other = Doubled(), Doubled(3.0)
    assert (count(module), count(other), count(module)) == (1, 1, 0)
    assert (count(module, 3.0), count(module, 3.0)) == (1, 0)
    assert count(module.double(), 3.0) == 1
    assert module.times(3.0).dtype == torch.float64
    assert count(copy.deepcopy(module), 3.0) == 1


def test_kept_in_inference_and_of_use_for_gradients_in_a_field():
    """PyTorch refuses to save what was made in inference mode for a backward."""
    module, field = Doubled(), torch.ones(1, requires_grad=True)
    with torch.inference_mode():
        module.times(2.0)
    with held_fixed(module):
        (gradient,) = torch.autograd.grad(module.times(2.0) * field, field)
    assert gradient == 2
    assert module.calls == 1


@pytest.mark.parametrize("training", [False, True])
def test_a_flow_forgets_nothing_of_what_it_is(training):
    """Its tables depend on the mode, on the direction and on the steps, too."""
    flow = moved_flow("lattice.shape=[4,4]").train(training)
    noise = flow.noise(3, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for steps in (1, 2, 1):
            for module in flow.modules():
                if hasattr(module, "evaluation_steps"):
                    module.evaluation_steps = module.n_steps = steps
            for _ in range(2):
                phi, log_q = flow(noise)
                fresh = copy.deepcopy(flow)
                assert all(map(torch.equal, fresh(noise), (phi, log_q)))
                assert torch.equal(fresh.log_prob(phi), flow.log_prob(phi))
