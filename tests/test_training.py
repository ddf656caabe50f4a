import math

import pytest
import torch

from flowlat.actions import Phi4
from flowlat.errors import DivergedError
from flowlat.objectives import reverse_kl
from flowlat.training import LitFlow
from tests.helpers import moved_flow


def module(**options):
    flow = moved_flow("lattice.shape=[4,4]", "arch=combconv_k1")
    return LitFlow(flow, Phi4(1.0, 1.0), reverse_kl, torch.optim.SGD, None, **options)


def test_averaged_weights_are_the_exponential_moving_average():
    lit = module(ema_decay=0.9)
    for value in (1.0, 2.0, 3.0):
        for parameter in lit.flow.parameters():
            parameter.data.fill_(value)
        lit.on_train_batch_end(None, None, 0)
    average = 0.9 * (0.9 * 1.0 + 0.1 * 2.0) + 0.1 * 3.0
    assert lit.best_flow is not lit.flow
    for parameter in lit.best_flow.parameters():
        torch.testing.assert_close(parameter, torch.full_like(parameter, average))


def test_without_an_average_the_flow_itself_is_the_best():
    lit = module(ema_decay=None)
    assert lit.best_flow is lit.flow


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_training(bad):
    lit = module()
    lit.trainer = type("Trainer", (), {"current_epoch": 7, "global_step": 70})()
    noise = lit.flow.noise(2)
    assert torch.isfinite(lit.training_step(noise, 0))
    next(lit.flow.bijection.parameters()).data.fill_(bad)
    with pytest.raises(DivergedError, match=r"loss=\S+ in epoch 7, step 70"):
        lit.training_step(noise, 0)
