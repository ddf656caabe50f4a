"""A training that is killed, at any moment, and started again ends as one that was not."""

import copy
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from flowlat.config.checkpoint import read_checkpoint
from flowlat.runs.metrics import read_metrics
from flowlat.training import fit as module
from flowlat.training.fit import fit
from flowlat.training.module import LitFlow
from flowlat.utils.errors import CheckpointError, ConfigError
from tests.support.forked import CONTEXT, Command
from tests.support.run_folders import contents
from tests.support.trainings import ROLLBACKS, TINY, assert_same, config, everything, without_power


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What the training leaves that nobody interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    fit(config(), folder)
    return everything(folder)


# kill -9


def begin(begun: Any, options: dict[str, Any], folder: Path) -> None:
    module.plot_training = lambda rows, path: None
    begun.set()
    fit(options, folder)


def killed_after(seconds: float, options: dict[str, Any], folder: Path) -> tuple[int, float]:
    """Train in a process of its own that is killed after a while; its exit code, and how long."""
    begun = CONTEXT.Event()
    child = CONTEXT.Process(target=begin, args=(begun, options, folder))
    child.start()
    assert begun.wait(100)
    started = time.monotonic()
    child.join(seconds)
    child.kill()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode, time.monotonic() - started


def test_killed_at_random_moments(tmp_path):
    """At least ten times kill -9, from before the first step to after the summary."""
    names = ["trainer.limit_train_batches=12"]
    code, duration = killed_after(100, config(*names), tmp_path / "whole")
    assert code == 0
    expected, kills, run = everything(tmp_path / "whole"), 0, 0
    while kills < 10:
        folder, patience, code = tmp_path / str(run := run + 1), duration, -1
        while code != 0:
            again = config(*names, "resume=true")
            code, _ = killed_after(random.uniform(0, patience), again, folder)
            kills += code != 0
            patience *= 1.2  # the machine may have become slower
        assert_same(everything(folder), expected)


@pytest.mark.parametrize(("names", "stride"), [((), 1), (ROLLBACKS, 3)], ids=["plain", "rollbacks"])
def test_a_power_cut_after_every_write(names, stride, tmp_path, monkeypatch):
    """Or, of the training that is taken back, after every third, from a random one on."""
    fit(config(*names), tmp_path / "whole")
    expected = everything(tmp_path / "whole")
    n = random.randint(1, stride)
    while without_power(monkeypatch, n, list(names), folder := tmp_path / str(n)):
        fit(config(*names, "resume=true"), folder)
        assert_same(everything(folder), expected)
        n += stride
    # of each epoch three steps, the row, epoch and last; the best at least once; the summary
    assert n > 2 * 6 + 2 + 1


def test_kill_9_of_a_command(tmp_path):
    """Processes of their own, killed when they have a checkpoint, and what was typed once more; or
    from the beginning what goes on."""
    names = (*TINY, "trainer.limit_train_batches=50")

    def start(folder: str, *more: str) -> Command:
        return Command(tmp_path, "train.py", *names, *more, f"hydra.run.dir={folder}")

    for folder, resume in (("a", "false"), ("b", "true")):
        process = start(folder, f"resume={resume}")
        while process.running() and not (tmp_path / folder / "checkpoints" / "last.ckpt").exists():
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.5))
        process.send(signal.SIGKILL)
        assert process.wait().returncode == -signal.SIGKILL
    for folder in "abc":
        done = start(folder, "resume=true").wait()
        assert done.returncode == 0, done.stderr
    assert "no checkpoint to go on from in" in done.stdout + done.stderr
    for folder in "ab":
        assert_same(everything(tmp_path / folder), everything(tmp_path / "c"))


# damage


def test_a_damaged_checkpoint_falls_back_to_the_one_before(whole, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    assert without_power(monkeypatch, 10, [], tmp_path)  # in the second epoch
    checkpoints = tmp_path / "checkpoints"
    content = (checkpoints / "last.ckpt").read_bytes()
    (checkpoints / "last.ckpt").write_bytes(content[: random.randrange(len(content))])
    fit(config("resume=true"), tmp_path)
    (line,) = [r.message for r in caplog.records if "going on" in r.message]
    assert "last.ckpt: " in line
    assert_same(everything(tmp_path), whole)


@pytest.mark.parametrize("gone", [False, True])
def test_without_a_whole_checkpoint_nothing_is_overwritten(gone, whole, tmp_path):
    """Cut by 100 bytes, or removed; resume=restart begins anew, for who means it."""
    fit(config("seed=1"), tmp_path)
    for name in ("last", "epoch"):
        path = tmp_path / "checkpoints" / f"{name}.ckpt"
        path.unlink() if gone else path.write_bytes(path.read_bytes()[:-100])
    before = contents(tmp_path)
    line = "no last.ckpt to go on from" if gone else "last.ckpt: not a readable .* nothing to go on"
    with pytest.raises(CheckpointError, match=f"{line}.*resume=restart"):
        fit(config("seed=1", "resume=true"), tmp_path)
    with pytest.raises(ConfigError, match="has a training already"):
        fit(config("seed=1"), tmp_path)
    assert contents(tmp_path) == before
    fit(config("resume=restart"), tmp_path)
    assert_same(everything(tmp_path), whole)


def test_the_best_alone_are_not_overwritten(tmp_path):
    fit(config(), tmp_path)
    for path in (*tmp_path.glob("checkpoints/[le]*"), *tmp_path.glob("*.*")):
        path.unlink()
    best = tmp_path / "checkpoints" / "best_ess.ckpt"
    assert read_checkpoint(best)["epoch"] == 1  # else it would be that of a training cut off
    for names, error in ((), ConfigError), (("resume=true",), CheckpointError):
        with pytest.raises(error, match=r"checkpoints/best_\w+\.ckpt"):
            fit(config(*names), tmp_path)


def test_a_training_that_has_ended(tmp_path):
    """Goes on to its summary without a step; never to fewer epochs."""
    first = fit(config(), tmp_path)
    before = everything(tmp_path)
    again = fit(config("resume=true"), tmp_path)
    own = {"seconds": 0, "provenance": None}  # and its date
    assert {**first, **own} == {**again, **own}
    with pytest.raises(ConfigError, match=r"max_epochs=1: the training in .* has had 2 epochs"):
        fit(config("resume=true", "trainer.max_epochs=1"), tmp_path)
    assert_same(everything(tmp_path), before)


# more epochs: a new leg

MORE = ("resume=true", "trainer.max_epochs=4")
#: in the epoch after the third
ROLLBACKS_LATER = (*ROLLBACKS, "scheduler.milestones=[3]")


def record_of(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["flowlat"]


@pytest.fixture
def rates(monkeypatch):
    """The rate of every step."""
    found, step = [], LitFlow.optimizer_step

    def noted(self, epoch, batch_idx, optimizer, *args):
        found.append(optimizer.param_groups[0]["lr"])
        step(self, epoch, batch_idx, optimizer, *args)

    monkeypatch.setattr(LitFlow, "optimizer_step", noted)
    return found


@pytest.mark.parametrize("name", ["one_cycle", "warmup_cosine"])
def test_a_new_leg_has_a_schedule_of_its_own(name, rates, tmp_path):
    """The one of a training of its length, from the weights and moments that are there."""
    fit(config(f"scheduler={name}"), tmp_path)
    ended = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    restored = []
    with pytest.MonkeyPatch.context() as patch:
        begin = LitFlow._begin_leg

        def noted(self):
            begin(self)
            restored.append(copy.deepcopy([self.state_dict(), self.optimizers().state_dict()]))

        patch.setattr(LitFlow, "_begin_leg", noted)
        longer = fit(config(f"scheduler={name}", *MORE), tmp_path)
    assert (longer["epochs"], longer["steps"]) == (4, 16)
    assert len(rates) == 16
    assert rates[8:] == rates[:8]
    ((weights, optimizer),) = restored
    assert_same(dict(weights), dict(ended["state_dict"]))
    assert_same(optimizer["state"], ended["optimizer_states"][0]["state"])
    assert record_of(tmp_path)["legs"] == [0, 2]
    fit(config(f"scheduler={name}", "resume=true", "trainer.max_epochs=5"), tmp_path)
    assert record_of(tmp_path)["legs"] == [0, 2, 4]
    assert [row["epoch"] for row in read_metrics(tmp_path / "metrics.csv")] == [*"01234"]


def test_a_schedule_that_does_not_know_its_end_is_the_same_in_two_legs(tmp_path):
    """As in one, to the last bit."""
    names = ("scheduler=step", "scheduler.milestones=[1,3]")
    fit(config(*names, "trainer.max_epochs=4"), tmp_path / "one")
    fit(config(*names), tmp_path / "two")
    fit(config(*names, *MORE), tmp_path / "two")
    assert_same(everything(tmp_path / "two"), everything(tmp_path / "one"))


@pytest.mark.parametrize("names", [(), ROLLBACKS_LATER], ids=["plain", "rollbacks"])
def test_a_power_cut_in_a_new_leg(names, tmp_path, monkeypatch):
    """After every fifth write of it, from a random one on."""
    fit(config(*names), tmp_path / "ended")
    shutil.copytree(tmp_path / "ended", tmp_path / "whole")
    fit(config(*names, *MORE), tmp_path / "whole")
    expected, record = everything(tmp_path / "whole"), record_of(tmp_path / "whole")
    assert (record["legs"], record["rollbacks"]) == ([0, 2], 2 if names else 0)
    n = random.randint(1, 5)
    while True:
        shutil.copytree(tmp_path / "ended", folder := tmp_path / str(n))
        if not without_power(monkeypatch, n, [*names, *MORE], folder):
            break
        fit(config(*names, *MORE), folder)
        assert_same(everything(folder), expected)
        assert record_of(folder)["legs"] == [0, 2]
        n += 5
    assert n > 2 * 6 + 1  # of each epoch three steps, the row, epoch and last; the summary


@pytest.mark.parametrize("wanted", [1, 3])
def test_a_training_that_has_not_ended_keeps_its_end(wanted, whole, tmp_path, monkeypatch):
    assert without_power(monkeypatch, 10, [], tmp_path)
    before = everything(tmp_path)
    line = rf"max_epochs={wanted}: the training in .* is in its epoch 2 of 2.*max_epochs=2 goes on"
    with pytest.raises(ConfigError, match=line):
        fit(config("resume=true", f"trainer.max_epochs={wanted}"), tmp_path)
    assert_same(everything(tmp_path), before)
    fit(config("resume=true"), tmp_path)
    assert_same(everything(tmp_path), whole)


def test_a_checkpoint_without_legs_has_one(whole, tmp_path, monkeypatch):
    """As all had that flowlat wrote until 0.2."""
    assert without_power(monkeypatch, 10, [], tmp_path)
    for path in (tmp_path / "checkpoints").iterdir():
        content = torch.load(path, weights_only=True)
        del content["flowlat"]["legs"]
        torch.save(content, path)
    fit(config("resume=true"), tmp_path)
    assert_same(everything(tmp_path), whole)
    fit(config(*MORE), tmp_path)
    assert record_of(tmp_path)["legs"] == [0, 2]


def test_another_arithmetic_is_said_loudly(tmp_path, monkeypatch, caplog):
    """As on a node without a compiler, or on more threads."""
    fit(config(), tmp_path)
    fit(config("resume=true"), tmp_path)
    assert "last digits" not in caplog.text
    monkeypatch.setattr("flowlat.kernels.arithmetic.choose", lambda *_: "torch")
    fit(config("resume=true", "threads=2"), tmp_path)
    (line,) = [r.message for r in caplog.records if "last digits" in r.message]
    assert "threads=1 until now" in line
    assert "threads=2: the last digits will differ" in line
    assert "kernel=torch" in line or record_of(tmp_path)["arithmetic"]["kernel"] == "torch"


# what may change


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ended")
    fit(config("trainer.max_epochs=1", "trainer.limit_train_batches=1"), folder)
    return folder


@pytest.mark.parametrize(
    ("typed", "error", "text"),
    [
        (["resume=false"], ConfigError, "hydra.run.dir=.*: has a training already .*; resume=true"),
        (["lattice.shape=[6,4]"], CheckpointError, r"shape=\[6, 4\]: .*\[4, 4\].*init_from"),
        (["arch=conv"], CheckpointError, "arch.k=None"),
        (["action.lam=7"], CheckpointError, "action.lam=7: .* action.lam=8.0"),
        (["ema_decay=null"], CheckpointError, "ema_decay=None"),
        (["optimizer.lr=1"], CheckpointError, "optimizer.lr=1: "),
        (["seed=1"], CheckpointError, "seed=1: "),
        (["data.batch_size=8"], CheckpointError, "data.batch_size=8: "),
        (["trainer.limit_train_batches=2"], CheckpointError, "limit_train_batches=2: "),
    ],
)
def test_a_training_that_cannot_go_on(typed, error, text, ended):
    names = ["trainer.max_epochs=2", "trainer.limit_train_batches=1", "resume=true"]
    with pytest.raises(error, match=text):
        fit(config(*names, *typed), ended)


def test_what_may_change(ended, tmp_path):
    names = ["trainer.max_epochs=2", "trainer.limit_train_batches=1", "resume=true"]
    fit(config(*names, "arch.recompute=true", "evaluation.n_samples=40", "threads=2"), ended)
    assert len(read_metrics(ended / "metrics.csv")) == 2
