import random

import pytest
import torch

from flowlat.training.divergence import LossRange


def epochs_until_left(losses):
    losses_range = LossRange()
    return next((i for i, loss in enumerate(losses) if losses_range.left_by(loss)), None)


def falling(n, noise=1.0):
    """From 70 to 52, as in four dimensions."""
    numbers = random.Random(1)
    return [52 + 18 * 0.98**i + numbers.gauss(0, noise) for i in range(n)]


def test_a_training_that_falls_and_is_noisy():
    assert epochs_until_left(falling(1000, noise=3)) is None


def test_a_loss_that_explodes():
    assert 300 < epochs_until_left(falling(300) + [52 * 1.1**i for i in range(100)]) < 320


def test_half_of_what_was_gained():
    fallen = [100.0] * 20 + [0.0] * 20
    assert epochs_until_left([*fallen, *[45.0] * 20]) is None
    assert epochs_until_left([*fallen, *[55.0] * 20]) == 45  # when six of ten are


def test_little_was_gained():
    assert epochs_until_left([0.0] * 20 + [9.0] * 20) is None
    assert epochs_until_left([0.0] * 20 + [11.0] * 20) == 25


def test_one_batch_is_no_divergence():
    assert epochs_until_left([*falling(100), 1e4, *[54.0] * 20]) is None


@pytest.mark.parametrize("n", [0, 5, 12, 40])
def test_it_goes_on_as_if_nothing_had_been(n):
    losses = falling(40) + [52 * 1.1**i for i in range(100)]
    whole, first, second = LossRange(), LossRange(), LossRange()
    expected = [whole.left_by(loss) for loss in losses][n:]
    for loss in losses[:n]:
        first.left_by(loss)
    second.restore(first.state())
    assert [second.left_by(loss) for loss in losses[n:]] == expected
    assert second.state().dtype == torch.float64
