"""A checkpoint of one's own training that was altered: one line, or a training that goes on."""

import copy
import math
import random
import shutil
from typing import Any

import pytest
import torch

from flowlat.training.fit import fit
from flowlat.utils.errors import USER_ERRORS
from tests.support.trainings import config, without_power


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Without git."""
    monkeypatch.setattr("flowlat.training.fit.provenance", dict)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A training that ended within its second epoch."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        assert without_power(patch, 10, [], folder)
    return folder


def content_of(folder) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.fixture
def resume(stopped, tmp_path):
    """``resume(content)``: the training goes on from a ``last.ckpt`` with this content."""

    def start(content):
        folder = tmp_path / "run"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(stopped, folder)
        torch.save(content, folder / "checkpoints" / "last.ckpt")
        return fit(config("resume=true"), folder)

    return start


LOOP = ("loops", "fit_loop")
OPTIMIZER = ("optimizer_states", 0)
NAN = torch.full((12,), math.nan)
GONE = object()

#: where something is altered, what is there then, and what the line says
ALTERED = [
    (("epoch",), GONE, "epoch=None: not a number of times"),
    (("epoch",), "1", "epoch='1': not a number of times"),
    (("epoch",), -1, "epoch=-1: not a number of times"),
    (("epoch",), 10**30, "epoch=1000000000000000000000000000000: not a number of times"),
    (("epoch",), torch.zeros(3), "epoch=tensor"),
    (("global_step",), -1, "completed=6: must be -1"),
    (("global_step",), 2.5, "completed=6: must be 2.5"),
    (("global_step",), 2**63, "completed=6: must be 9223372036854775808"),
    (("pytorch-lightning_version",), "1.0.0", "pytorch-lightning_version='1.0.0': this is 2."),
    (("pytorch-lightning_version",), GONE, "pytorch-lightning_version=None"),
    (("flowlat", "rollbacks"), -1, "flowlat.rollbacks=-1"),
    (("flowlat", "rollbacks"), 10**30, "flowlat.rollbacks=1000"),
    (("flowlat", "rollbacks"), "x", "flowlat.rollbacks='x'"),
    (("flowlat", "legs"), [], "flowlat.legs=[]: not epochs, from 0, at which legs begin"),
    (("flowlat", "legs"), [1], "flowlat.legs=[1]: not epochs"),
    (("flowlat", "legs"), [0, 2], "flowlat.legs=[0, 2]: not epochs"),
    (("flowlat", "legs"), [0, 1, 1], "flowlat.legs=[0, 1, 1]: not epochs"),
    (("flowlat", "legs"), [0, 0.5], "flowlat.legs=[0, 0.5]: not epochs"),
    (("flowlat", "legs"), torch.zeros(3), "flowlat.legs=tensor"),
    (("flowlat", "config", "trainer", "max_epochs"), "x", "is in its epoch 2 of x, over which"),
    (("flowlat", "seconds"), math.nan, "flowlat.seconds=nan"),
    (("flowlat", "seconds"), "x", "flowlat.seconds='x'"),
    (("flowlat", "losses"), torch.zeros(3), "flowlat.losses: not a number for each rank"),
    (("flowlat", "losses"), torch.zeros(0, 0), "batch_progress.current.ready=2: must be 0"),
    (("flowlat", "losses"), torch.full((1, 2), math.nan), "flowlat.losses: not finite numbers"),
    (("flowlat", "losses"), [1.0], "flowlat.losses: not a number for each rank"),
    (("flowlat", "losses"), GONE, "flowlat.losses: not a number for each rank"),
    (("flowlat", "config", "data"), torch.zeros(3), "flowlat.config: not plain data"),
    (("flowlat", "config", "data"), {1, 2}, "flowlat.config: not plain data"),
    (("flowlat", "config", "data"), GONE, "data.batch_size=16: "),
    (("flowlat", "config", "data", "double_at"), [0.5], "data.double_at=None: the training in"),
    (("state_dict",), {}, "Missing key(s) in state_dict"),
    (("state_dict", "flow.more"), torch.zeros(1), 'Unexpected key(s) in state_dict: "flow.more"'),
    (("state_dict",), [1], "no state to go on from: TypeError"),
    (("optimizer_states",), [], "optimizer_states, lr_schedulers: missing"),
    (("optimizer_states",), GONE, "optimizer_states, lr_schedulers: missing"),
    ((*OPTIMIZER, "state", 1, "exp_avg"), torch.zeros(7), "exp_avg of shape (7,)"),
    (
        (*OPTIMIZER, "state", 1, "exp_avg"),
        torch.full((12,), math.nan),
        "optimizer.state.1.exp_avg: not finite",
    ),
    ((*OPTIMIZER, "state", 1, "exp_avg"), GONE, "KeyError: 'exp_avg'"),
    ((*OPTIMIZER, "param_groups"), [], "no state to go on from: ValueError"),
    ((*OPTIMIZER, "param_groups", 0, "lr"), "x", "no state to go on from: TypeError"),
    ((*OPTIMIZER, "param_groups", 0, "lr"), math.inf, "lr=inf"),
    (
        (*OPTIMIZER, "param_groups", 0, "betas"),
        (0.5, 2.0),
        "betas=(0.5, 2.0), must be (0.9",
    ),
    ((*OPTIMIZER, "param_groups", 0, "params"), [0], "no state to go on from: ValueError"),
    ((*OPTIMIZER, "param_groups", 0, "params", 1), None, "params are not numbered in their order"),
    ((*OPTIMIZER, "param_groups", 0, "params", 1), True, "params are not numbered in their order"),
    ((*OPTIMIZER, "param_groups", 0), None, "optimizer_states, lr_schedulers: missing"),
    ((*OPTIMIZER, "param_groups", 0, "fused"), GONE, "fused=None, must be True"),
    (("lr_schedulers", 0, "last_epoch"), -3, "scheduler.last_epoch=-3: must be 6"),
    (("lr_schedulers", 0, "base_lrs"), [], "no state to go on from: ValueError"),
    (("lr_schedulers",), GONE, "optimizer_states, lr_schedulers: missing"),
    (("loops",), GONE, "epoch_progress.current.processed=None: must be 1 or 2"),
    (("loops",), {}, "epoch_progress.current.processed=None"),
    ((*LOOP, "epoch_progress"), {}, "epoch_progress.current.processed=None"),
    ((*LOOP, "epoch_progress", "current", "completed"), 2**61, "current_epoch=2305843009213693952"),
    ((*LOOP, "epoch_loop.batch_progress", "current", "ready"), -1, "current.ready=-1"),
    ((*LOOP, "epoch_loop.batch_progress", "is_last_batch"), 1, "is_last_batch=1"),
    (("callbacks", "best_ess", "score"), "x", "callbacks.best_ess.score='x'"),
    (("callbacks", "best_ess", "score"), math.nan, "callbacks.best_ess.score=nan: not a finite"),
    (("callbacks", "best_ess"), {}, "callbacks.best_ess.score=None: not a finite"),
    (("callbacks", "Decline", "best_ess"), "x", "could not convert string to float: 'x'"),
    (("callbacks", "Decline", "best_ess"), GONE, "KeyError: 'best_ess'"),
    (("callbacks", "Decline", "ess_left_last"), -1.0, "was never measured"),
    (("callbacks", "Decline", "best_log_z"), math.nan, "was never measured"),
    (("flowlat", "loss_range"), "x", "no state to go on from: AttributeError"),
    (
        ("loops", "fit_loop", "epoch_progress", "total", "completed"),
        None,
        "loops.fit_loop.epoch_progress.total.completed=None: not a number of times",
    ),
    (("PriorDataModule",), GONE, "PriorDataModule.n_drawn=None: not a number of times"),
    (("PriorDataModule", "n_drawn"), -1, "PriorDataModule.n_drawn=-1"),
    (("PriorDataModule", "n_drawn"), 2**62, "PriorDataModule.n_drawn="),
]


def alter(content, path, value):
    for key in path[:-1]:
        content = content[key]
    if value is GONE:
        del content[path[-1]]
    else:
        content[path[-1]] = value


@pytest.mark.parametrize(("path", "value", "text"), ALTERED)
def test_what_is_altered_is_named(path, value, text, resume, stopped):
    content = content_of(stopped)
    alter(content, path, value)
    with pytest.raises(USER_ERRORS) as caught:
        resume(content)
    message = str(caught.value)
    assert text in message
    assert message.isprintable()


@pytest.mark.parametrize("key", ["lightning.pytorch.callbacks.Timer", "os.system"])
def test_what_is_of_no_use_here_does_no_harm(key, resume, stopped):
    content = content_of(stopped)
    content["callbacks"][key] = {"command": "touch executed"}
    content["rng_state"] = "of no use here"
    content["optimizer_states"][0]["state"][10**6] = {}
    content["lr_schedulers"][0]["lr_lambdas"] = [{"a": 1}]
    assert resume(content)["steps"] == 8


VALUES = (
    *(None, "x", -1, 0, 10**6, 2**61, 10**30, math.nan, math.inf, -1e300, 1.5, True, [], {}),
    *(torch.zeros(3), torch.tensor(math.nan), {1}, GONE),
)


def places(node: Any, path: tuple[Any, ...] = ()):
    """The paths of all that a checkpoint holds."""
    if path:
        yield path
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from places(value, (*path, key))


def test_anything_altered_anywhere(resume, stopped):
    """At 30 random places: refused in one line, or of no harm."""
    whole, refused = content_of(stopped), 0
    for path in random.sample(list(places(whole)), 30):
        content = copy.deepcopy(whole)
        alter(content, path, random.choice(VALUES))
        try:
            assert resume(content)["epochs"] <= 2
        except USER_ERRORS:
            refused += 1
    assert refused > 8


def test_a_checkpoint_that_is_whole_goes_on(resume, stopped):
    assert resume(content_of(stopped))["steps"] == 8
