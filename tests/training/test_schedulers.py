from itertools import pairwise

import pytest
import torch

from flowlat.training import schedulers


def factors(schedule, total, first=0, **options):
    """The rate of every step of a leg over the optimizer's own."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=2.0)
    steps = {"total_steps": total, "steps_per_epoch": 10, "first_step": first}
    scheduler = schedule(optimizer, **steps, **options)
    found = []
    for _ in range(total):
        assert optimizer.param_groups[0]["lr"] >= 0  # before it begins, too
        found.append(optimizer.param_groups[0]["lr"] / 2.0)
        optimizer.step()
        scheduler.step()
    return found[first:]


def rises_then_falls(values, peak):
    climbing = all(a <= b for a, b in pairwise(values[: peak + 1]))
    return climbing and all(a >= b for a, b in pairwise(values[peak:]))


def test_constant():
    assert factors(schedulers.constant, 5) == [1.0] * 5


def test_step_falls_at_the_epochs():
    found = factors(schedulers.step, 40, milestones=[2, 3], gamma=0.1)
    assert found == pytest.approx([1.0] * 20 + [0.1] * 10 + [0.01] * 10)


def test_warmup_then_half_a_cosine():
    found = factors(schedulers.warmup_cosine, 101, warmup=0.1, final=0.2)
    assert found[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert found[10] == pytest.approx(1)
    assert found[55] == pytest.approx(0.6, abs=0.01)  # half way
    assert found[-1] == pytest.approx(0.2, abs=1e-3)
    assert rises_then_falls(found, 10)


def test_one_cycle():
    found = factors(schedulers.one_cycle, 101, rise=0.3, start=0.04, final=1e-4)
    assert found[0] == pytest.approx(0.04)
    assert found[30] == pytest.approx(1, abs=1e-3)
    assert found[-1] < 2e-3
    assert rises_then_falls(found, found.index(max(found)))


@pytest.mark.parametrize("schedule", [schedulers.warmup_cosine, schedulers.one_cycle])
def test_what_spans_a_training_spans_a_leg(schedule):
    assert factors(schedule, 60, first=20) == factors(schedule, 40)


@pytest.mark.parametrize("schedule", [schedulers.constant, schedulers.step])
def test_what_does_not_know_its_end_goes_on(schedule):
    options = {"milestones": [1, 3]} if schedule is schedulers.step else {}
    assert factors(schedule, 60, first=20, **options) == factors(schedule, 60, **options)[20:]
