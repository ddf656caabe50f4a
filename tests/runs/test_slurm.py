"""Jobs of a real SLURM, of one node: their time is up, they are cancelled, killed, waited for."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flowlat.runs.folder.lock import at_work
from tests.support import accounting
from tests.support.accounting import AccountedCluster
from tests.support.cluster import Cluster, missing, wait_for
from tests.support.helpers import ROOT
from tests.support.trainings import TINY

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(missing()), reason=f"a cluster needs root and SLURM: {missing()}"),
]

LAUNCHER = "hydra/launcher=submitit_slurm"
HELD = "+hydra.launcher.additional_parameters.hold=true"
#: what is done before Python in a job: that of number 4 does not even begin
SETUP = "hydra.launcher.setup=['[ $SLURM_ARRAY_TASK_ID != 4 ] || export PYTHONHASHSEED=bad']"
#: what sacct says of the starts of each job of the sweep below: of one that never started nothing
STATES = {
    0: ["FAILED"],
    1: ["REQUEUED", "COMPLETED"],
    2: ["CANCELLED by 0"],
    3: [],
    4: ["FAILED"],
}
#: long enough to be met in it, without a checkpoint that takes its time
LONG = (*TINY, "trainer.limit_train_batches=100000", "checkpoint_minutes=0.02")
SHORT = (*TINY, "trainer.max_epochs=1", "trainer.limit_train_batches=2", "evaluation.n_samples=64")
#: a program that answers a signal as ours do, and needs none of their imports
LISTENS = """
import time
from flowlat.runs.signals import Signals
from flowlat.runs.slurm import requeue
with Signals() as signals:
    print("listening", flush=True)
    while not signals.received:
        time.sleep(0.05)
    print(f"{signals.received.name}: {requeue()}", flush=True)
"""


ACCOUNTED = pytest.param(
    AccountedCluster,
    marks=pytest.mark.skipif(
        bool(accounting.missing()), reason=f"accounting needs Debian's: {accounting.missing()}"
    ),
    id="accounting",
)


@pytest.fixture(scope="session", params=[pytest.param(Cluster, id="alone"), ACCOUNTED])
def cluster(request, tmp_path_factory):
    with request.param(tmp_path_factory.mktemp("slurm")) as found:
        yield found


@pytest.fixture(scope="session", autouse=True)
def limited(cluster, tmp_path_factory):
    """A job of a minute, the least there is: it has begun before the other tests."""
    folder = tmp_path_factory.mktemp("limited")
    return cluster.submit(folder, listens(), "--time=1", "--requeue"), folder / "job.log"


def listens() -> str:
    return f"exec {sys.executable} -c '{LISTENS}'"


def command(script: str, *arguments: str) -> str:
    return " ".join([sys.executable, str(ROOT / script), *map(repr, arguments)])


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def wait_for_text(path: Path, words: str) -> None:
    wait_for(lambda: words in text(path), f"{words} in {path.name}: {text(path)}")


def last_line(path: Path) -> str:
    """Of what the program itself said: there is no traceback before it."""
    lines = [line for line in text(path).splitlines() if "slurmstepd" not in line]
    assert "Traceback" not in text(path)
    return lines[-1]


# what a job says of its own end


def test_a_job_whose_time_is_nearly_up_is_requeued(cluster, tmp_path):
    """``--signal=B:USR1@...``, which reaches the batch script alone."""
    job = cluster.submit(tmp_path, listens(), "--requeue")
    wait_for_text(tmp_path / "job.log", "listening")
    cluster.signal(job, "USR1", "--batch")
    wait_for_text(tmp_path / "job.log", f"SIGUSR1: SLURM job {job} requeued")
    cluster.start_again(job)
    wait_for(lambda: text(tmp_path / "job.log").count("listening") == 2, "the second start")
    cluster.signal(job, "TERM", "--batch")  # as a preemption gives notice
    wait_for_text(tmp_path / "job.log", f"SIGTERM: SLURM job {job} requeued")
    cluster.run("scancel", job)


def test_a_job_that_is_cancelled_does_not_come_back(cluster, tmp_path):
    job = cluster.submit(tmp_path, listens(), "--requeue")
    wait_for_text(tmp_path / "job.log", "listening")
    cluster.run("scancel", job)
    cluster.wait(job, "CANCELLED")
    said = f"SIGTERM: SLURM job {job} is cancelled, and not requeued"
    assert last_line(tmp_path / "job.log") == said


def test_a_job_that_slurm_requeues_itself(cluster, tmp_path):
    job = cluster.submit(tmp_path, listens(), "--requeue")
    wait_for_text(tmp_path / "job.log", "listening")
    cluster.run("scontrol", "requeue", job)
    wait_for_text(tmp_path / "job.log", f"SIGTERM: SLURM starts job {job} again by itself")
    cluster.run("scancel", job)


def test_a_job_that_may_not_be_requeued(cluster, tmp_path):
    job = cluster.submit(tmp_path, listens(), "--no-requeue")
    wait_for_text(tmp_path / "job.log", "listening")
    cluster.signal(job, "USR1", "--batch")
    wait_for_text(tmp_path / "job.log", "SIGUSR1: ")
    assert last_line(tmp_path / "job.log") == (
        f"SIGUSR1: SLURM job {job} not requeued: submit it with --requeue, a sweep with "
        "+hydra.launcher.additional_parameters.requeue=true"
    )


# programs


def test_a_training_goes_on_where_its_time_was_up(cluster, tmp_path):
    """In one log, as --open-mode=append has it; at last it is cancelled."""
    lines = "exec " + command("train.py", *LONG, "hydra.run.dir=run", "resume=true")
    job, log = cluster.submit(tmp_path, lines, "--requeue"), tmp_path / "job.log"
    wait_for((tmp_path / "run/checkpoints/last.ckpt").exists, "a checkpoint")
    cluster.signal(job, "USR1", "--batch")
    wait_for_text(log, f"; the same command goes on; SLURM job {job} requeued")
    (step,) = re.findall(r"ended by SIGUSR1 after step (\d+) of", text(log))
    last = tmp_path / "run/checkpoints/last.ckpt"
    first = last.stat()
    cluster.start_again(job)
    wait_for(lambda: last.stat().st_mtime_ns != first.st_mtime_ns, "another checkpoint")
    cluster.run("scancel", job)
    cluster.wait(job, "CANCELLED")
    assert last_line(log).endswith(f"SLURM job {job} is cancelled, and not requeued")
    (end,) = re.findall(r"ended by SIGTERM after step (\d+) of", text(log))
    assert int(end) > int(step)


@pytest.mark.parametrize("script", ["train.py", "sample.py"])
def test_a_signal_while_python_imports(script, cluster, tmp_path):
    """As soon as the program has its first line, which comes before PyTorch."""
    names = ("hydra.run.dir=run", "resume=true", "threads=1")
    job = cluster.submit(tmp_path, f"exec {command(script, *names)}", "--requeue")
    wait_for_text(tmp_path / "job.log", "Run folder: run")
    cluster.signal(job, "USR1", "--batch")
    wait_for_text(tmp_path / "job.log", "requeued")
    assert last_line(tmp_path / "job.log") == f"ended by SIGUSR1; SLURM job {job} requeued"
    cluster.run("scancel", job)


def test_two_tasks_train_together_and_do_not_sample(cluster, tmp_path):
    train = command("train.py", *SHORT, "trainer=ddp_cpu", "trainer.devices=2", "hydra.run.dir=a")
    sample = command("sample.py", "sampler=hmc", "lattice.shape=[4,4]", "hydra.run.dir=b")
    lines = f"srun --kill-on-bad-exit=1 {train}\nsrun {sample}; echo code $?"
    job = cluster.submit(tmp_path, lines, "--ntasks-per-node=2", "--nodes=1")
    cluster.wait(job, "COMPLETED", "FAILED", seconds=150)
    said = text(tmp_path / "job.log")
    assert said.count("Reached, on 64 fresh samples:") == 1, said
    assert said.count("error: srun started 2 processes: one is right, with devices=2") == 1
    assert "code 2" in said
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"a"}


# sweeps, which ask the queue: without accounting sacct has no answer


@pytest.fixture
def sweep(cluster, tmp_path):
    """``sweep(*names)``: the command of a sweep, in a process of its own."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    processes = []

    def start(*names: str) -> subprocess.Popen[str]:
        arguments = (*TINY, *names, "hydra.sweep.dir=sweep")
        processes.append(
            subprocess.Popen(
                [sys.executable, str(ROOT / "train.py"), "-m", *arguments, LAUNCHER],
                cwd=tmp_path,
                env=os.environ | cluster.environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return processes[0]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def array_of(folder: Path) -> str:
    """The number of the array of a sweep, as soon as it is there."""
    wait_for(lambda: any(folder.glob("sweep/.submitit/*_1/*_submitted.pkl")), "the jobs")
    (job,) = folder.glob("sweep/.submitit/*_1")
    return job.name.removesuffix("_1")


def test_how_the_jobs_of_a_sweep_end(sweep, cluster, tmp_path):
    """Killed, requeued and cancelled while they import, never started, and dead before that."""
    process = sweep("seed=1,2,3,4,5", "trainer.max_epochs=1", "resume=true", HELD, SETUP)
    array = array_of(tmp_path)
    cluster.run("scancel", f"{array}_3")
    for n in (0, 1, 2, 4):
        cluster.run("scontrol", "release", f"{array}_{n}")
    folders = [tmp_path / f"sweep/{n}" for n in range(5)]
    for folder in folders[:3]:
        wait_for(lambda folder=folder: at_work(folder) != "", f"a process in {folder}")
    os.kill(int(at_work(folders[0]).split()[1]), signal.SIGKILL)
    cluster.signal(f"{array}_1", "USR2")
    cluster.run("scancel", f"{array}_2")
    log = tmp_path / f"sweep/.submitit/{array}_1/{array}_1_0_log.err"
    wait_for_text(log, f"ended by SIGUSR2; SLURM job {array}_1 requeued")
    cluster.start_again(f"{array}_1")
    out, err = process.communicate(timeout=150)
    assert process.returncode == 1, err
    assert "Sweep of 5 jobs, 1 finished:" in out
    assert f"Job {array}_0 " in err
    silent = "crashed, or starting: not past its imports and checks"
    said = err.splitlines()[-4:]
    assert re.search(rf"job 0: seed=1: {silent} \(srun: error: .*: Killed\)", said[0])
    assert said[1].endswith(
        f"2: seed=3: failed: ended by SIGTERM; SLURM job {array}_2 is cancelled, and not requeued"
    )
    assert said[2] == "  job 3: seed=4: missing: it never started"
    assert said[3].startswith(
        f"  job 4: seed=5: {silent} (Fatal Python error: config_init_hash_seed"
    )
    assert "sacct" not in out + err
    assert "Traceback" not in err
    if isinstance(cluster, AccountedCluster):
        for n, states in STATES.items():
            assert [state for _, state in cluster.states(f"{array}_{n}")] == states


def test_ctrl_c_while_a_sweep_waits(sweep, cluster, tmp_path):
    """Its jobs, which are held and have not begun, are still there."""
    process = sweep("seed=1,2", HELD)
    array = array_of(tmp_path)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    said = f"interrupted; 2 jobs of SLURM go on; scancel {array} ends them"
    assert err.splitlines()[-1] == said
    assert "Traceback" not in err
    cluster.run("scancel", array)


def test_a_job_at_its_limit_is_requeued(cluster, limited):
    """SIGTERM, and ten seconds."""
    job, log = limited
    wait_for(lambda: "SIGTERM" in text(log), "the limit", 120)
    wait_for_text(log, f"SIGTERM: SLURM job {job} requeued")
    assert "DUE TO TIME LIMIT" in text(log)
    assert int(cluster.job(job)["Restarts"]) >= 1
    if isinstance(cluster, AccountedCluster):
        assert cluster.states(job)[0] == [job, "REQUEUED"]  # and not "TIMEOUT"
