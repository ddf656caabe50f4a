import logging
import math
from types import SimpleNamespace

import pytest
import torch

from flowlat.actions import Phi4
from flowlat.analysis.importance import forward_quality
from flowlat.ensemble.reference import read_reference
from flowlat.sampling.draw import draw
from flowlat.training.callbacks import Evaluation
from flowlat.training.callbacks import evaluation as module
from flowlat.training.callbacks.evaluation import quality
from flowlat.utils.errors import DivergedError
from tests.support.fakes import walk_config
from tests.support.helpers import moved_flow


def trainer_of(steps, epoch=0, max_epochs=1):
    """As much of a trainer as an evaluation asks, of steps of 32 configurations."""
    return SimpleNamespace(
        current_epoch=epoch,
        max_epochs=max_epochs,
        num_training_batches=steps,
        datamodule=SimpleNamespace(batch_size=32),
        global_rank=0,
        is_global_zero=True,
        world_size=1,
        loggers=[],
    )


def evaluate(callback, epoch, max_epochs, flow=None, steps=4):
    """What the callback logs at the end of an epoch of so many steps of 32 configurations."""
    logged = {}
    lit = SimpleNamespace(
        best_flow=flow or moved_flow("lattice.shape=[4,4]", "arch=combconv_k1"),
        action=Phi4(1.0, 1.0),
        device="cpu",
        log_dict=lambda values, **options: logged.update(values),
    )
    callback.on_train_epoch_end(trainer_of(steps, epoch, max_epochs), lit)
    return logged


def test_what_is_logged_and_how_often():
    callback = Evaluation(seed=0, n_samples=64, batch_size=32, every_n_epochs=3)
    logged = [evaluate(callback, epoch, max_epochs=5) for epoch in range(5)]
    assert [bool(values) for values in logged] == [False, False, True, False, True]
    names = {"ess", "pareto_k", "acceptance", "log_z", "log_z_err", "sign_balance"}
    assert set(logged[2]) == names
    assert logged[2]["ess"] != logged[4]["ess"]  # fresh samples every time
    assert logged[2] == evaluate(callback, 2, max_epochs=5)


def test_a_short_training_is_evaluated_on_fewer(monkeypatch, caplog):
    """Twice what was trained on since the last time, 1,024 to 8,192; what is asked for always. It
    is said at the start, by one process."""
    drawn = []
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "proposals", lambda *args: drawn.append(args[2]) or iter(()))
    monkeypatch.setattr(module, "quality", lambda *_: {"ess": 1.0})
    for steps, every in ((5, 1), (60, 1), (60, 2), (150, 1)):
        callback = Evaluation(seed=0, every_n_epochs=every)
        evaluate(callback, 1, 2, steps=steps)
        callback.on_train_start(trainer_of(steps), None)
        other = SimpleNamespace(**{**vars(trainer_of(steps)), "is_global_zero": False})
        callback.on_train_start(other, None)
    assert caplog.messages == [
        f"ESS and acceptance of an epoch are of {n} fresh samples" for n in drawn
    ]
    evaluate(Evaluation(seed=0, n_samples=20_000), 1, 2, steps=5)
    assert drawn == [1024, 3840, 7680, 8192, 20_000]


def test_a_flow_without_weights_stops_the_training():
    flow = moved_flow("lattice.shape=[4,4]", "arch=combconv_k1")
    next(flow.bijection.parameters()).data.fill_(torch.nan)
    with pytest.raises(DivergedError, match="after epoch 3"):
        evaluate(Evaluation(seed=0, n_samples=8), 3, 5, flow)


def test_forward_ess_of_an_ensemble(tmp_path):
    draw(walk_config(n_samples=300), tmp_path)
    flow = moved_flow("lattice.shape=[2,4]", "arch=combconv_k1")
    options = {"seed": 0, "n_samples": 90, "batch_size": 32}
    logged = evaluate(Evaluation(ensemble=str(tmp_path), **options), 0, 5, flow)
    reference = read_reference(tmp_path, most=90)
    log_w = reference.log_weights(flow, Phi4(1.0, 1.0), 32, seed=0)
    expected = forward_quality(log_w, reference.replicas)
    assert logged == {**evaluate(Evaluation(**options), 0, 5, flow), **expected}
    assert set(expected) == {"forward_ess", "forward_ess_err"}
    assert 0 < expected["forward_ess"] < 1


def test_acceptance_leaves_the_start_of_the_chain_out():
    """Of equal weights each proposal is taken; nothing is decided about the only one."""
    assert quality(torch.zeros(3))["acceptance"] == 1
    assert math.isnan(quality(torch.zeros(1))["acceptance"])
    falling = quality(torch.tensor([0.0, -1e3, -1e3]))
    assert falling["acceptance"] == 0


def test_acceptance_of_lognormal_weights():
    """erfc(s / 2) for log w of variance s^2: in equilibrium log w' - log w is N(-s^2, 2 s^2).

    Within five sigma (p = 6e-7), with sigma twice the binomial one: the decisions correlate.
    """
    n, s = 200_000, 0.8
    log_w = s * torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = quality(log_w, torch.Generator().manual_seed(2))["acceptance"]
    expected = math.erfc(s / 2)
    assert abs(found - expected) < 5 * 2 * math.sqrt(expected * (1 - expected) / n)


def test_quality_refuses_weights_that_mean_nothing():
    with pytest.raises(ValueError, match=r"NaN or \+inf"):
        quality(torch.tensor([0.0, math.nan]))
