"""Jobs without a record: which never started, and which ended while they did."""

import inspect
import os
import pickle

import pytest

from flowlat.report.build import build
from flowlat.runs.folder.lock import LOCK
from flowlat.runs.jobs import read_jobs
from flowlat.runs.sweeps.silent import NEVER, became_of
from tests.support.run_folders import write_multirun, write_training

SILENT = "crashed, or starting: not past its imports and checks"


def submitted(sweep, job, number, started=True, error=""):
    """What submitit keeps of a job; its logs, which SLURM makes, if it was started."""
    folder = sweep / ".submitit" / job
    folder.mkdir(parents=True)
    pickled = folder / f"{job}_submitted.pkl"
    pickled.write_bytes(pickle.dumps((["seed=1"], "hydra.sweep.dir", f"job_id_for_{number}")))
    seconds = float(job.partition("_")[0])
    os.utime(pickled, (seconds, seconds))
    if started:
        (folder / f"{job}_0_log.out").write_text("submitit INFO - Starting with JobEnvironment\n")
        (folder / f"{job}_0_log.err").write_text(error)


def test_a_job_that_has_its_folder_has_begun(tmp_path):
    sweep = write_multirun(tmp_path, "seed=1,2")
    (sweep / "1").mkdir()
    (sweep / "1" / LOCK).touch()
    assert [job.status for job in read_jobs(sweep)] == [NEVER, SILENT]
    assert build([sweep]).sections


def test_a_folder_that_is_called_by_another_number(tmp_path):
    """Is not that of the job: with hydra.sweep.subdir=${seed} job 0 is in 1."""
    sweep = write_multirun(tmp_path, "seed=1,2")
    write_training(sweep / "1", [0.5], overrides=("seed=1",), number=0)
    assert [(job.number, job.status) for job in read_jobs(sweep)] == [(0, ""), (1, NEVER)]


def test_a_job_that_has_a_log_has_begun(tmp_path):
    """Which has its last error; of several starts the last one counts, by the job's own number."""
    killed = "srun: error: node: task 0: Killed"
    submitted(tmp_path, "10_0", 3, error="Traceback ...\nImportError: no such file\n\n" + killed)
    submitted(tmp_path, "10_1", 4, started=False)
    submitted(tmp_path, "10_2", 5)
    submitted(tmp_path, "10_3", 6)
    submitted(tmp_path, "10_4", 7, error=f"{killed}\nsrun: Force Terminated StepId=3.0\n")
    submitted(tmp_path, "11", 6, started=False)
    assert became_of(tmp_path, range(3, 8), ()) == {
        3: f"{SILENT} (ImportError: no such file)",
        4: NEVER,
        5: SILENT,
        6: NEVER,
        7: f"{SILENT} ({killed})",
    }


def test_a_trial_of_a_search_is_not_forgotten(tmp_path):
    """None is planned: those that have their folder are known."""
    sweep = write_multirun(tmp_path, "seed=interval(0,1)", sweeper="optuna.OptunaSweeper")
    (sweep / "0").mkdir()
    assert [(job.number, job.status) for job in read_jobs(sweep)] == [(0, SILENT)]


def test_the_name_that_the_launcher_gives_a_job():
    """Is what is looked for in the file: a real one is in tests/runs/test_slurm.py."""
    launcher = pytest.importorskip("hydra_plugins.hydra_submitit_launcher.submitit_launcher")
    assert 'f"job_id_for_{idx}"' in inspect.getsource(launcher.BaseSubmititLauncher.launch)
