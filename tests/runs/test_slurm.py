"""A sweep on SLURM, played by scripts: from the submission to the table."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from flowlat.runs.metrics import read_metrics
from tests.support import slurm
from tests.support.trainings import TINY

LAUNCHER = ("hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu")
#: long enough to be met in the second epoch
LONG = ("trainer.limit_train_batches=400", "checkpoint_minutes=100")


@pytest.fixture
def state(tmp_path, monkeypatch):
    """The books of a SLURM that is there from now on."""
    core = pytest.importorskip("submitit.core.core")
    monkeypatch.setattr(core.Job, "_results_timeout_s", 0)  # for a slow file system
    (tmp_path / "slurm").mkdir()
    books = slurm.install(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{tmp_path / 'slurm' / 'bin'}:{os.environ['PATH']}")
    return books


def when_it_has_a_checkpoint(folder: Path, state: Path, job: str, number: signal.Signals) -> None:
    """Send a signal to a job in the epoch after its first."""

    def wait() -> None:
        while not (folder / "checkpoints" / "last.ckpt").exists():
            time.sleep(0.01)
        slurm.send(state, job, number)

    threading.Thread(target=wait, daemon=True).start()


def test_a_job_that_is_killed_and_one_whose_time_is_up(state, command, tmp_path):
    """The first is named at the end; the second is requeued, goes on and finishes."""
    names = (*TINY, *LONG, "seed=1,2", "resume=true", "hydra.sweep.dir=sweep")
    when_it_has_a_checkpoint(tmp_path / "sweep" / "0", state, "1000_0", signal.SIGKILL)
    when_it_has_a_checkpoint(tmp_path / "sweep" / "1", state, "1000_1", signal.SIGUSR2)
    done = command("train.py", "-m", *LAUNCHER, *names)
    assert done.returncode == 1, done.stderr
    assert "Sweep of 2 jobs, 1 finished:" in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Job 1000_0 " in line
    assert line.endswith("produced any output (state: FAILED) (HYDRA_FULL_ERROR=1 shows where)")
    assert done.stderr.endswith(
        "1 of 2 jobs did not finish:\n  sweep/0: seed=1: crashed, or running: 1 epochs\n"
    )
    assert "Traceback" not in done.stderr
    (log,) = (tmp_path / "sweep" / ".submitit" / "1000_1").glob("*.err")
    assert "ended by SIGUSR2 after step" in log.read_text()
    assert "SLURM job 1000_1 requeued" in log.read_text()
    assert len(read_metrics(tmp_path / "sweep" / "1" / "metrics.csv")) == 2


def test_a_queue_that_refuses_is_quoted(state, command, tmp_path):
    (tmp_path / "slurm" / "bin" / "sbatch").write_text(
        "#!/bin/sh\necho no such partition >&2; exit 1"
    )
    done = command("train.py", "-m", *LAUNCHER, *TINY, "seed=1,2", "hydra.sweep.dir=sweep")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: the sweep broke off: no such partition")
