"""What is done with the answers of SLURM's commands: to requeue or not, to wait or not."""

import time

import pytest

from flowlat.runs.slurm import jobs_go_on, requeue, states, watch_the_queue

ARRAY = {"JOB_ID": "12", "ARRAY_JOB_ID": "10", "ARRAY_TASK_ID": "2"}


@pytest.fixture(autouse=True)
def no_job(monkeypatch):
    for name in (*ARRAY, "RESTART_COUNT"):
        monkeypatch.delenv(f"SLURM_{name}", raising=False)


@pytest.fixture
def task(monkeypatch):
    """One of an array."""
    for name, value in ARRAY.items():
        monkeypatch.setenv(f"SLURM_{name}", value)


@pytest.mark.parametrize("job", ["", "12; rm -rf /"])
def test_no_job(scontrol, job, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", job)
    assert requeue() == ""
    assert scontrol.told() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("JobState=RUNNING Reason=None Requeue=1 Restarts=0", "SLURM job 10_2 requeued"),
        ("JobState=COMPLETING Reason=TimeLimit Requeue=1 Restarts=0", "SLURM job 10_2 requeued"),
        (
            "JobState=COMPLETING Reason=None Requeue=1 Restarts=0",
            "SLURM job 10_2 is cancelled, and not requeued",
        ),
        (
            "JobState=COMPLETING Reason=None Requeue=1 Restarts=1",
            "SLURM starts job 10_2 again by itself",
        ),
        (
            "JobState=RUNNING Reason=None Requeue=0 Restarts=0",
            "SLURM job 10_2 not requeued: submit it with --requeue, a sweep with "
            "+hydra.launcher.additional_parameters.requeue=true",
        ),
    ],
)
def test_only_a_job_whose_time_is_up_is_requeued(words, said, scontrol, task):
    scontrol.job(words)
    assert requeue() == said
    assert scontrol.told() == (["10_2"] if said == "SLURM job 10_2 requeued" else [])


def test_a_restart_that_this_process_knows_of(scontrol, task, monkeypatch):
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    scontrol.job("JobState=RUNNING Reason=None Requeue=1 Restarts=1")
    assert requeue() == "SLURM job 10_2 requeued"


def test_a_slurm_that_does_not_answer(scontrol, task, tmp_path, monkeypatch):
    scontrol.refuses("scontrol", "Unable to contact slurm controller")
    assert requeue() == "SLURM job 10_2 not requeued (Unable to contact slurm controller)"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert requeue().startswith("SLURM job 10_2 not requeued ([Errno 2]")


def test_states_of_the_jobs_in_the_queue(scontrol):
    scontrol.queue("10_0 RUNNING\n10_1 SIGNALING\n10_2 FAILED")
    found = states(["10_0", "10_1", "10_2", "10_3"])
    assert [found[f"10_{n}"]["State"] for n in range(4)] == [
        "RUNNING",
        "SIGNALING",
        "FAILED",
        "GONE",
    ]
    scontrol.refuses("squeue", "slurm_load_jobs error: Invalid job id specified")
    assert states(["11"]) == {"11": {"State": "GONE"}}
    scontrol.refuses("squeue", "Unable to contact slurm controller")
    with pytest.raises(RuntimeError, match="Unable to contact"):
        states(["11"])


def test_submitit_asks_the_queue(scontrol, monkeypatch):
    submitit = pytest.importorskip("submitit")
    monkeypatch.setattr(submitit.SlurmJob, "watcher", submitit.SlurmJob.watcher)
    watch_the_queue()
    watcher = submitit.SlurmJob.watcher
    for state, done in {"PENDING": False, "SIGNALING": False, "OUT_OF_MEMORY": True}.items():
        scontrol.queue(f"10_0 {state}")
        time.sleep(0.01)  # submitit asks no more than once a millisecond
        assert watcher.is_done("10_0", mode="force") == done, state
    watcher.clear()
    scontrol.refuses("squeue", "Unable to contact slurm controller")
    assert not watcher.is_done("10_0", mode="force")


def test_no_jobs_go_on(tmp_path):
    assert jobs_go_on(tmp_path) == ""
