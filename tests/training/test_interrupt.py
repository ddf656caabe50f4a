"""Trainings that end before their time: each in one line, with a checkpoint to go on from."""

import errno
import os
import re
import resource
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from flowlat.flows.proposals import proposals
from flowlat.runs.metrics import read_metrics
from flowlat.runs.signals import Signals
from flowlat.training.callbacks import Evaluation
from flowlat.training.fit import fit
from flowlat.training.module import LitFlow
from tests.support.forked import Command
from tests.support.trainings import TINY, assert_same, config, everything

NAMES = (*TINY, "checkpoint_minutes=100")
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 138, signal.SIGUSR2: 140}
#: all that srun tells a task; without NTASKS, what sbatch tells its script
SLURM = {"JOB_ID": 7, "NTASKS": 1, "PROCID": 0, "LOCALID": 0, "NODEID": 0, "JOB_NAME": "train"}


@pytest.fixture
def signalled(monkeypatch):
    """``signalled(number, step)``: a signal in the middle of that step, or of an evaluation."""

    def arrange(number, step):
        if step is None:
            hook, owner, name = Evaluation.on_train_epoch_end, Evaluation, "on_train_epoch_end"
        else:
            hook, owner, name = LitFlow.training_step, LitFlow, "training_step"

        def sending(self, *arguments):
            trainer = arguments[0] if step is None else self.trainer
            if step is None or trainer.global_step == step:
                signal.raise_signal(number)
            return hook(self, *arguments)

        monkeypatch.setattr(owner, name, sending)

    return arrange


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What the training leaves that nobody interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    fit(config("checkpoint_minutes=100"), folder)
    return everything(folder)


def last_line(done) -> str:
    """Of stderr, without the folder before that of the run; and no traceback anywhere."""
    assert "Traceback" not in done.stdout + done.stderr
    return re.sub(r"/\S+/run\b", "run", done.stderr.strip().splitlines()[-1])


@pytest.mark.parametrize(
    ("number", "step"),
    [(signal.SIGINT, 1), (signal.SIGINT, None), (signal.SIGTERM, 3), (signal.SIGUSR1, 1)],
)
def test_a_signal_writes_a_checkpoint_and_ends(
    number, step, whole, signalled, command, tmp_path, monkeypatch
):
    handlers = [signal.getsignal(n) for n in SIGNALS]
    signalled(number, step)
    done = command("train.py", *NAMES, "hydra.run.dir=run", "logger=tensorboard")
    monkeypatch.undo()
    assert done.returncode == SIGNALS[number]
    after = 2 if step == 1 else 4  # in the last step, and in the evaluation: at the epoch's end
    assert last_line(done) == (
        f"ended by {number.name} after step {after} of 8; the same command with "
        "hydra.run.dir=run resume=true goes on"
    )
    assert [signal.getsignal(n) for n in SIGNALS] == handlers
    again = command("train.py", *NAMES, "hydra.run.dir=run", "resume=true")
    assert again.returncode == 0, again.stderr
    assert_same(everything(tmp_path / "run"), whole)


def test_a_second_ctrl_c_ends_at_once():
    signals = Signals()
    with signals:
        signal.raise_signal(signal.SIGINT)
        assert signals.received == signal.SIGINT
        with pytest.raises(Exception, match="ended at once"):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
@pytest.mark.parametrize("srun", [True, False])
def test_slurm_starts_the_job_again(number, srun, scontrol, signalled, command, monkeypatch):
    for name, value in SLURM.items():
        if srun or name == "JOB_ID":
            monkeypatch.setenv(f"SLURM_{name}", str(value))
    signalled(number, 1)
    done = command("train.py", *NAMES, "hydra.run.dir=run", "resume=true")
    assert done.returncode == SIGNALS[number]
    assert last_line(done).endswith(
        f"{number.name} after step 2 of 8; the same command goes on; SLURM job 7 requeued"
    )
    assert scontrol.told() == ["7"]


def test_only_a_command_that_goes_on_is_requeued(scontrol, signalled, command, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    signalled(signal.SIGTERM, 1)
    done = command("train.py", *NAMES, "hydra.run.dir=run")
    assert last_line(done).endswith("resume=true goes on")
    assert scontrol.told() == []


def test_only_one_of_several_ranks_answers_ctrl_c(capfd):
    for quiet in (False, True):
        with Signals(quiet):
            signal.raise_signal(signal.SIGINT)
    assert capfd.readouterr().err.count("ending after this step") == 1


def test_ctrl_c_before_the_training(command, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("flowlat.training.fit.check_ensembles", interrupted)
    done = command("train.py", *NAMES, "hydra.run.dir=run")
    assert (done.returncode, last_line(done)) == (130, "interrupted")
    assert not (tmp_path / "run").exists()


def test_sigterm_to_a_process(tmp_path):
    """A process of its own, which says that it has begun by its first checkpoint."""
    names = [*TINY, "trainer.limit_train_batches=100000", "hydra.run.dir=run"]
    process = Command(tmp_path, "train.py", *names)
    while process.running() and not (tmp_path / "run/checkpoints/last.ckpt").exists():
        time.sleep(0.001)
    process.send(signal.SIGTERM)
    done = process.wait()
    assert done.returncode == 143, done.stderr
    assert last_line(done).startswith("ended by SIGTERM after step")
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] >= 1


# divergence


def test_a_divergence_is_taken_back_with_a_lower_rate(command, tmp_path):
    names = [*NAMES, "scheduler=step", "scheduler.milestones=[1]", "scheduler.gamma=1e12"]
    names += ["trainer.gradient_clip_val=null", "hydra.run.dir=run"]
    stopped = command("train.py", *names)
    assert stopped.returncode == 2
    assert "in epoch 1, step" in last_line(stopped)
    assert "last good checkpoint is run/checkpoints/last.ckpt, resume=true" in last_line(stopped)
    names += ["resume=true", "divergence.max_rollbacks=3", "divergence.lr_factor=1e-13"]
    done = command("train.py", *names)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "rollback" in line]
    assert (
        f"back to {tmp_path}/run/checkpoints/epoch.ckpt, rate times 1e-13 (rollback 1 of 3)" in line
    )
    rows = read_metrics(tmp_path / "run" / "metrics.csv")
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert float(rows[1]["lr"]) == pytest.approx(1e-2 * 1e12 * 1e-13)


def test_a_divergence_without_end_stops(command, tmp_path):
    names = [*NAMES, "optimizer.lr=1e30", "divergence.max_rollbacks=2", "hydra.run.dir=run"]
    done = command("train.py", *names)
    assert done.returncode == 2
    assert done.stderr.count("back to the beginning") == 2
    assert "no checkpoint was written yet" in last_line(done)
    assert not (tmp_path / "run").exists()


def test_weights_that_cannot_be_weighed_are_no_best_ones(command, tmp_path, monkeypatch):
    """All log weights -infinity: an ESS of NaN."""

    def hopeless(*arguments):
        for batch in proposals(*arguments):
            yield batch._replace(log_weight=torch.full_like(batch.log_weight, -torch.inf))

    monkeypatch.setattr("flowlat.training.callbacks.evaluation.proposals", hopeless)
    done = command("train.py", *NAMES, "hydra.run.dir=run")
    assert done.returncode == 2
    assert "no log weight is finite, after epoch 0" in last_line(done)
    assert not list(tmp_path.glob("run/checkpoints/best*"))


# a disk, a device


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("victim", ["last.ckpt", "best_ess.ckpt", "metrics.csv", "summary.json"])
def test_a_disk_that_takes_no_more(code, victim, whole, command, tmp_path, monkeypatch):
    """From the second epoch on, where the file is written before."""
    replace = Path.replace

    def full(self, target):
        epochs = len(read_metrics(tmp_path / "run" / "metrics.csv"))
        if target.name == victim and (epochs == 2 or victim == "best_ess.ckpt"):
            raise OSError(code, os.strerror(code))
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        done = command("train.py", *NAMES, "hydra.run.dir=run")
        if victim == "metrics.csv":  # has one row when the second fails
            assert done.returncode == 0
            return
    assert done.returncode == 2
    assert last_line(done).startswith(f"error: hydra.run.dir=run: {os.strerror(code)}; ")
    assert command("train.py", *NAMES, "hydra.run.dir=run", "resume=true").returncode == 0
    assert_same(everything(tmp_path / "run"), whole)


def test_a_folder_that_is_removed(command, tmp_path, monkeypatch):
    replace = Path.replace

    def gone(self, target):
        if target.name == "last.ckpt":
            shutil.rmtree(tmp_path / "run")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", gone)
    done = command("train.py", *NAMES, "hydra.run.dir=run")
    assert done.returncode == 2
    assert last_line(done) == "error: hydra.run.dir=run: removed while it was trained"


def small_files() -> None:
    """None may become larger than a checkpoint half written."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, 10**5))


def test_a_full_disk(tmp_path):
    names = (*NAMES, "arch.n_couplings=16", "hydra.run.dir=run")
    done = Command(tmp_path, "train.py", *names, before=small_files).wait()
    assert done.returncode == 2, done.stderr
    assert last_line(done) == (
        f"error: hydra.run.dir=run: {os.strerror(errno.EFBIG)}; no checkpoint was written yet"
    )


@pytest.mark.parametrize("where", ["step", "evaluation"])
def test_too_little_memory(where, command, monkeypatch):
    def starved(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    owner, name = (
        (LitFlow, "training_step") if where == "step" else (Evaluation, "on_train_epoch_end")
    )
    monkeypatch.setattr(owner, name, starved)
    done = command("train.py", *NAMES, "evaluation.batch_size=32", "hydra.run.dir=run")
    assert (done.returncode, last_line(done)) == (
        2,
        "error: too little memory on cpu: halve data.batch_size=16 (or evaluation.batch_size=32)",
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(command, tmp_path):
    done = command("train.py", *TINY[:3], "trainer=gpu", "hydra.run.dir=run")
    assert done.returncode == 2
    assert last_line(done).startswith("error: trainer.accelerator=gpu: PyTorch finds no GPU; ")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        (["optimizer.lr=inf"], "optimizer.lr=inf: "),
        (["optimizer.lr=nan"], "optimizer.lr=nan: "),
        (["+trainer.logger=false"], "trainer.logger=False: is not an option here"),
        (["+trainer.callbacks=[]"], "trainer.callbacks=[]: must be a mapping"),
        (["+trainer.plugins=[]"], "trainer.plugins=[]: must be a mapping"),
        (["+trainer.default_root_dir=x"], "trainer.default_root_dir='x': is not an option here"),
    ],
)
def test_options_that_are_refused(typed, text, command, tmp_path):
    done = command("train.py", *NAMES, *typed, "hydra.run.dir=run")
    assert done.returncode == 2
    assert text in last_line(done)
    assert not (tmp_path / "run").exists()
