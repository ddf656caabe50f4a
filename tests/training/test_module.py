import math
from types import SimpleNamespace

import pytest
import torch

from flowlat.actions import Phi4
from flowlat.objectives import reverse_kl
from flowlat.training.module import LitFlow
from flowlat.utils.errors import DivergedError
from tests.support.helpers import moved_flow


class NoStep:
    def step(self, closure):
        pass


def module(**options):
    flow = moved_flow("lattice.shape=[4,4]", "arch=combconv_k1")
    return LitFlow(flow, Phi4(1.0, 1.0), reverse_kl, torch.optim.SGD, None, **options)


def test_averaged_weights_are_the_exponential_moving_average():
    lit = module(ema_decay=0.9)
    for value in (1.0, 2.0, 3.0):
        for parameter in lit.flow.parameters():
            parameter.data.fill_(value)
        lit.optimizer_step(0, 0, NoStep())
    average = 0.9 * (0.9 * 1.0 + 0.1 * 2.0) + 0.1 * 3.0
    assert lit.best_flow is not lit.flow
    for parameter in lit.best_flow.parameters():
        torch.testing.assert_close(parameter, torch.full_like(parameter, average))


def test_without_an_average_the_flow_itself_is_the_best():
    lit = module(ema_decay=None)
    assert lit.best_flow is lit.flow


def in_training(lit):
    """Within a trainer of one device, in epoch 7."""
    strategy = SimpleNamespace(
        reduce_boolean_decision=lambda decision: decision, all_gather=lambda t, **_: t
    )
    lit.trainer = SimpleNamespace(current_epoch=7, global_step=70, strategy=strategy, world_size=1)
    lit.training_step((lit.flow.noise(2),), 0).backward()
    return lit


@pytest.mark.parametrize("clip", [None, 1e-3])
def test_gradients_are_clipped_by_their_norm(clip):
    lit = in_training(module())
    before = torch.cat([p.grad.flatten() for p in lit.flow.parameters()])
    lit.configure_gradient_clipping(None, clip, "norm")
    after = torch.cat([p.grad.flatten() for p in lit.flow.parameters()])
    expected = before if clip is None else before * (clip / before.norm())
    torch.testing.assert_close(after, expected, rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["weight", "gradient"])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_no_step_is_made_with_a_loss_or_a_gradient_that_is_not_finite(bad, where, clip):
    lit = in_training(module())
    lit.configure_gradient_clipping(None, clip, "norm")  # all is well
    first = next(lit.flow.bijection.parameters())
    if where == "gradient":
        first.grad.view(-1)[0] = bad
    else:
        first.data.fill_(bad)
        lit.training_step((lit.flow.noise(2),), 0)
    with pytest.raises(DivergedError, match=r"loss=\S+, gradient norm=\S+ in epoch 7, step 70"):
        lit.configure_gradient_clipping(None, clip, "norm")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_no_checkpoint_has_weights_that_are_not_finite(bad):
    lit = in_training(module(ema_decay=0.9))
    lit.on_save_checkpoint({"state_dict": lit.state_dict()})
    next(lit.flow.bijection.parameters()).data.view(-1)[0] = bad
    with pytest.raises(DivergedError, match="weights that are not finite in epoch 7"):
        lit.on_save_checkpoint({"state_dict": lit.state_dict()})
