"""Multiruns of train.py: a job that fails takes no other down, whoever launches them."""

import json
import os
import signal

import pytest
import yaml

from flowlat.runs.jobs import read_jobs
from flowlat.utils.errors import Interrupted
from tests.support.run_folders import contents

SHORT = (
    *("trainer=cpu", "lattice.shape=[4,4]", "trainer.max_epochs=1", "evaluation.n_samples=64"),
    *("trainer.limit_train_batches=2", "++arch.n_couplings=2", "hydra.sweep.dir=sweep"),
)
#: the first cannot be in two dimensions
ARCHS = "arch=combconv_k3,combconv_k1"
REASON = "arch: k=3 exceeds the lattice dimension d=2"


def assert_only_the_first_failed(done, folder):
    assert done.returncode == 1
    assert (folder / "0" / "error.txt").read_text() == REASON
    assert not (folder / "0" / "summary.json").exists()
    assert not (folder / "1" / "error.txt").exists()
    ess = json.loads((folder / "1" / "summary.json").read_text())["ess"]
    table = done.stdout[done.stdout.index("Sweep of 2 jobs, 1 finished:") :].splitlines()
    assert table[1].split() == ["job", "arch", "ESS", "acceptance", "seconds"]
    assert table[2].split() == ["0", "combconv_k3", "-", "-", "-"]
    assert table[3].split()[:3] == ["1", "combconv_k1", f"{ess:.4f}"]
    assert done.stderr.endswith(
        f"1 of 2 jobs did not finish:\n  sweep/0: arch=combconv_k3: failed: {REASON}\n"
    )
    assert "Traceback" not in done.stderr


def test_the_basic_launcher(command, tmp_path):
    assert_only_the_first_failed(command("train.py", "-m", ARCHS, *SHORT), tmp_path / "sweep")


@pytest.mark.parametrize(
    "launcher", [("joblib", "hydra.launcher.n_jobs=2"), ("submitit_local",)], ids=lambda p: p[0]
)
def test_launchers_of_processes(command, tmp_path, launcher):
    pytest.importorskip(f"hydra_plugins.hydra_{launcher[0].split('_')[0]}_launcher")
    options = [f"hydra/launcher={launcher[0]}", *launcher[1:]]
    done = command("train.py", "-m", ARCHS, *SHORT, *options)
    assert_only_the_first_failed(done, tmp_path / "sweep")


def test_a_search_for_the_highest_ess(command, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    search = ("hparams_search=optuna", "hydra.sweeper.params=null", "hydra.sweeper.n_trials=6")
    archs = "arch=combconv_k3,combconv_k1,conv"  # the last two are other networks
    done = command("train.py", "-m", *search, "hydra.sweeper.sampler.seed=1", archs, *SHORT)
    assert done.returncode == 1
    jobs = read_jobs(tmp_path / "sweep")
    assert len(jobs) == 6
    for job in jobs:
        failed = job.overrides["arch"] == "combconv_k3"
        assert job.status == (f"failed: {REASON}" if failed else "")
    found = {job.run.summary["ess"]: job.overrides["arch"] for job in jobs if job.run.summary}
    assert len(found) == 2
    best = yaml.safe_load((tmp_path / "sweep" / "optimization_results.yaml").read_text())
    assert best["best_value"] == max(found)
    assert best["best_params"] == {"arch": found[max(found)]}


def test_a_job_of_joblib_that_is_killed(command, tmp_path, monkeypatch):
    """As the system kills the process that takes too much memory: the others go on."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    monkeypatch.setenv("DISTURB", "0 1 die")
    objectives = "objective._target_=tests.support.fakes.disturbed,flowlat.objectives.reverse_kl"
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=1")
    done = command("train.py", "-m", "arch=conv", objectives, *SHORT, *launcher)
    assert done.returncode == 1
    assert "Sweep of 2 jobs, 1 finished:" in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("  sweep/")]
    assert line.startswith("  sweep/0: objective._target_=tests.support.fakes.disturbed: failed: ")
    assert "rank 0 died, by SIGKILL; no checkpoint was written yet" in line
    assert "Traceback" not in done.stderr


def test_a_search_in_which_no_trial_succeeds(command, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    search = ("hparams_search=optuna", "hydra.sweeper.params=null", "hydra.sweeper.n_trials=2")
    done = command("train.py", "-m", *search, "arch=combconv_k3", "seed=1,2", *SHORT)
    assert done.returncode == 1
    assert "Sweep of 2 jobs, 0 finished:" in done.stdout
    reason = "error: the sweep broke off: No trials are completed yet. (HYDRA_FULL_ERROR=1 shows"
    assert reason in done.stderr
    assert done.stderr.count(f"failed: {REASON}") == 2
    assert "Traceback" not in done.stderr
    assert "HYDRA_FULL_ERROR" not in os.environ


def test_a_sweep_that_broke_off_is_finished_by_the_same_command(command, tmp_path, monkeypatch):
    """With its folder and resume=true: what has ended is kept, what is missing is run."""
    names = ("-m", "arch=conv", "seed=1,2", *SHORT)

    def interrupted(*_):
        raise Interrupted("ended by SIGTERM", signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr("flowlat.training.fit.check_ensembles", interrupted)
        stopped = command("train.py", *names)
    assert stopped.returncode == 128 + signal.SIGTERM
    assert "Sweep of 2 jobs, 0 finished:" in stopped.stdout
    assert "job 1: seed=2: missing: it never started" in stopped.stderr
    (job,) = read_jobs(tmp_path / "sweep")[:1]
    assert job.status == "failed: ended by SIGTERM"
    assert command("train.py", *names, "resume=true").returncode == 0
    first = [job.run.summary for job in read_jobs(tmp_path / "sweep")]
    again = command("train.py", *names, "resume=true")
    assert "Sweep of 2 jobs, 2 finished:" in again.stdout
    for before, job in zip(first, read_jobs(tmp_path / "sweep"), strict=True):
        assert job.run.summary["ess"] == before["ess"]
        assert job.run.summary["seconds"] > float(job.run.rows[-1]["seconds"])  # of both legs


def test_a_refused_job_leaves_the_results_of_another_and_has_dashes(command, tmp_path):
    names = ("-m", "arch=conv", *SHORT)
    assert command("train.py", *names, "seed=0").returncode == 0
    before = contents(tmp_path / "sweep" / "0")
    done = command("train.py", *names, "seed=1", "resume=true")
    assert done.returncode == 1
    assert contents(tmp_path / "sweep" / "0") == before
    assert "  0    -    -           -" in done.stdout
    assert "  sweep/0: : failed: seed=1: the training in" in done.stderr
    (job,) = read_jobs(tmp_path / "sweep")
    assert job.status == ""
    assert command("train.py", *names).returncode == 2


def test_a_job_that_runs_again_forgets_its_error(command, tmp_path):
    failed = command("train.py", "-m", ARCHS, *SHORT)
    assert failed.returncode == 1
    again = [o for o in SHORT if "sweep" not in o]
    done = command("train.py", "arch=combconv_k1", *again, "hydra.run.dir=sweep/0")
    assert done.returncode == 0
    assert not (tmp_path / "sweep" / "0" / "error.txt").exists()
