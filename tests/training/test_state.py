"""A checkpoint of one's own training that was altered: one line, or a training that goes on."""

import copy
import math
import random
import shutil
from typing import Any

import pytest
import torch

from flowlat.training import fit as module
from flowlat.training.fit import fit
from flowlat.utils.errors import USER_ERRORS
from tests.training.test_resume import config, without_power


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Without the figure and git."""
    monkeypatch.setattr(module, "plot_training", lambda rows, path: None)
    monkeypatch.setattr(module, "provenance", dict)


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
GONE = object()

#: where something is altered, what is there then, and what the line says
ALTERED = [
    (("epoch",), GONE, "epoch=None: not a number of times"),
    (("epoch",), "1", "epoch='1': not a number of times"),
    (("epoch",), -1, "epoch=-1: not a number of times"),
    (("epoch",), 10**30, "is in its epoch 1000000000000000000000000000001 already"),
    (("epoch",), torch.zeros(3), "epoch=tensor"),
    (("global_step",), -1, "global_step=-1: must be like 0"),
    (("global_step",), 2.5, "global_step=2.5"),
    (("global_step",), 2**63, "global_step=9223372036854775808"),
    (("pytorch-lightning_version",), "1.0.0", "pytorch-lightning_version='1.0.0': not 2."),
    (("pytorch-lightning_version",), GONE, "pytorch-lightning_version=None"),
    (("flowlat", "rollbacks"), -1, "flowlat.rollbacks=-1"),
    (("flowlat", "rollbacks"), 10**30, "flowlat.rollbacks=1000"),
    (("flowlat", "rollbacks"), "x", "flowlat.rollbacks='x'"),
    (("flowlat", "seconds"), math.nan, "flowlat.seconds=nan"),
    (("flowlat", "seconds"), "x", "flowlat.seconds='x'"),
    (("flowlat", "losses"), torch.zeros(3), "flowlat.losses: not a number for each rank"),
    (("flowlat", "losses"), torch.zeros(0, 0), "flowlat.losses: not a number for each rank"),
    (("flowlat", "losses"), torch.full((1, 2), math.nan), "flowlat.losses: not finite"),
    (("flowlat", "losses"), [1.0], "flowlat.losses: not a number for each rank"),
    (("flowlat", "losses"), GONE, "flowlat.losses: not a number for each rank"),
    (("flowlat", "config", "data"), torch.zeros(3), "flowlat.config.schemas: not plain data"),
    (("flowlat", "config", "data"), {1, 2}, "flowlat.config.schemas: not plain data"),
    (("flowlat", "config", "data"), GONE, "data={"),
    (("state_dict",), {}, "state_dict."),
    (("state_dict", "flow.more"), torch.zeros(1), "state_dict.flow.more: unknown"),
    (("state_dict",), [1], "state_dict=[1]"),
    (("optimizer_states",), [], "optimizer_states: of length 0, must be 1"),
    (("optimizer_states",), GONE, "optimizer_states=None"),
    ((*OPTIMIZER, "state", 1, "exp_avg"), torch.zeros(7), "optimizer_states.0.state.1.exp_avg="),
    ((*OPTIMIZER, "state", 1, "exp_avg"), torch.full((12,), math.nan), "state.1.exp_avg="),
    ((*OPTIMIZER, "state", 1, "exp_avg"), GONE, "state.1.exp_avg: missing"),
    ((*OPTIMIZER, "state", 10**6), {}, "state.1000000: unknown"),
    ((*OPTIMIZER, "param_groups"), [], "param_groups: of length 0"),
    ((*OPTIMIZER, "param_groups", 0, "lr"), "x", "param_groups.0.lr='x'"),
    ((*OPTIMIZER, "param_groups", 0, "lr"), math.inf, "param_groups.0.lr=inf"),
    ((*OPTIMIZER, "param_groups", 0, "betas"), (0.5, 2.0), "betas=(0.5, 2.0): must be (0.9"),
    ((*OPTIMIZER, "param_groups", 0, "params"), [0], "params: of length 1"),
    ((*OPTIMIZER, "param_groups", 0, "fused"), GONE, "param_groups.0.fused: missing"),
    (("lr_schedulers", 0, "last_epoch"), -3, "last_epoch=-3"),
    (("lr_schedulers", 0, "base_lrs"), [], "base_lrs: of length 0"),
    (("lr_schedulers", 0, "lr_lambdas"), [{"a": 1}], "lr_lambdas.0={'a': 1}"),
    (("lr_schedulers",), GONE, "lr_schedulers=None"),
    (("loops",), GONE, "loops=None"),
    (("loops",), {}, "loops.fit_loop: missing"),
    ((*LOOP, "epoch_progress"), {}, "epoch_progress."),
    ((*LOOP, "epoch_progress", "current", "completed"), 2**61, "2305843009213693952 are completed"),
    ((*LOOP, "epoch_loop.batch_progress", "current", "ready"), -1, "current.ready=-1"),
    ((*LOOP, "epoch_loop.batch_progress", "is_last_batch"), 1, "is_last_batch=1"),
    (("callbacks", "best_ess", "score"), "x", "callbacks.best_ess.score='x'"),
    (("callbacks", "best_ess", "score"), math.nan, "callbacks.best_ess.score=nan"),
    (("callbacks", "best_ess"), {}, "callbacks.best_ess.score: missing"),
    (("PriorDataModule",), GONE, "PriorDataModule=None"),
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
def test_the_state_of_a_callback_that_is_not_there_is_left_alone(key, resume, stopped):
    content = content_of(stopped)
    content["callbacks"][key] = {"command": "touch executed"}
    content["rng_state"] = "of no use here"
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
