import json
import logging
import math
from types import SimpleNamespace

import pytest
import torch

from flowlat.analysis.trust import warnings
from flowlat.training.callbacks import Decline, Evaluation
from flowlat.training.fit import fit
from tests.support.trainings import config

#: ESS, log Z and its error of an epoch
STEADY = (0.5, 9.29, 0.01)
WITHOUT_A_MODE = (0.7, 9.29 - math.log(2), 0.01)
COLLAPSED = (0.1, 9.2, 0.1)


def codes(decline):
    return [warning["code"] for warning in warnings(decline.seen)]


def after(*epochs, decline=None):
    decline = decline or Decline()
    for figures in epochs:
        decline.look(*figures)
    return decline


def test_a_good_training():
    """Of noise, of ESS that wavers within a factor of three, and of the first figures."""
    assert codes(Decline()) == []
    rising = [(0.001, -20.0, 0.9), (0.01, 7.0, 0.8), (0.2, 9.2, 0.02), STEADY]
    assert codes(after(*rising)) == []
    assert codes(after(STEADY, (0.17, 9.27, 0.02), (0.18, 9.25, 0.02))) == []
    # a heavy weight, seen once: log Z is higher by two errors, and less sure
    assert codes(after((0.0005, 11.0, 0.99), (0.01, 9.0, 0.1), STEADY)) == []


def test_a_mode_that_is_lost():
    assert codes(after(STEADY, WITHOUT_A_MODE)) == ["log_z_fell"]
    assert codes(after(STEADY, *[WITHOUT_A_MODE] * 3)) == ["log_z_fell"]
    assert codes(after(STEADY, WITHOUT_A_MODE, STEADY)) == []
    assert codes(after(STEADY, (0.7, 9.29 - math.log(2), 0.15))) == []  # within five errors


def test_an_ess_that_collapses_twice_or_for_good():
    assert codes(after(STEADY, COLLAPSED)) == []
    assert codes(after(STEADY, COLLAPSED, COLLAPSED)) == ["ess_collapsed"]
    assert codes(after(STEADY, COLLAPSED, COLLAPSED, STEADY)) == []
    assert codes(after(STEADY, (0.05, 9.2, 0.1))) == ["ess_collapsed"]


def test_one_line_when_it_happens(caplog):
    decline, module = Decline(), SimpleNamespace()
    epochs = [STEADY, None, WITHOUT_A_MODE, WITHOUT_A_MODE, STEADY, WITHOUT_A_MODE]
    lines = []
    for epoch, figures in enumerate(epochs):
        names = ("ess", "log_z", "log_z_err") if figures else ()
        logged = dict(zip(names, map(torch.tensor, figures or ()), strict=True))
        options = {"max_epochs": 9, "loggers": []}
        trainer = SimpleNamespace(current_epoch=epoch, logged_metrics=logged, **options)
        caplog.clear()
        decline.on_train_epoch_end(trainer, module)
        lines.append(caplog.messages)
    assert [len(found) for found in lines] == [0, 0, 1, 0, 0, 1]
    assert lines[2][0].startswith("epoch 2: log Z fell by 0.69")


def test_a_checkpoint_has_what_was_seen():
    before = after(STEADY, COLLAPSED)
    later = Decline()
    later.load_state_dict(before.state_dict())
    assert codes(after(COLLAPSED, decline=later)) == ["ess_collapsed"]
    assert codes(after(COLLAPSED)) == []
    assert before.seen["ess_left_last"] == pytest.approx(0.2)


def test_a_training_that_collapses_says_so(tmp_path, monkeypatch, caplog):
    """At the epoch, and in the end; the checkpoint of before is as good as it was."""
    measure = Evaluation.measure

    def measured(self, flow, action, n, epoch, *share):
        figures, *more = measure(self, flow, action, n, epoch, *share)
        return {**figures, "ess": 0.01 if epoch == 1 else 0.5}, *more

    monkeypatch.setattr(Evaluation, "measure", measured)
    with caplog.at_level(logging.WARNING):
        summary = fit(config("evaluation.n_samples=512"), tmp_path)
    assert "epoch 1: the ESS collapsed from 0.5 to 14% of it" in caplog.text
    assert [w["code"] for w in summary["warnings"] if w["code"] == "ess_collapsed"]
    assert not [w for w in summary["warnings"] if w["code"] == "low_ess"]
    assert json.loads((tmp_path / "summary.json").read_text())["warnings"] == summary["warnings"]
