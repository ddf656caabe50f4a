"""Processes that are ranks of one group: what they return, and how they end."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from flowlat.runs.processes import external_launcher, spawn_ranks
from flowlat.runs.signals import Signals
from flowlat.utils.errors import ConfigError, DivergedError, Interrupted, RankError
from flowlat.utils.files import replacing
from tests.support.helpers import ROOT


def fails_on_one(rank: int) -> None:
    """One rank fails, and the others wait for it."""
    if int(os.environ["RANK"]) == rank:
        raise DivergedError(f"on rank {rank}")
    time.sleep(60)


def dies() -> None:
    os._exit(7)


def waits_for_a_signal() -> None:
    signals = Signals()
    with signals:
        os.kill(os.getppid(), signal.SIGTERM)  # as a scheduler would, which knows the parent alone
        while signals.received is None:
            time.sleep(0.01)
    raise Interrupted("heard", signals.received)


def tells_and_sleeps(path: str) -> None:
    with replacing(Path(path)) as partial:
        partial.write_text(str(os.getpid()))
    time.sleep(600)


def hangs_at_its_exit() -> int:
    threading.Thread(target=time.sleep, args=(600,)).start()
    return 5


def look_for(number: int) -> None:
    """A process, for a minute."""
    for _ in range(6000):
        os.kill(number, 0)
        time.sleep(0.01)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("flowlat.runs.processes.GRACE", 0.1)


def test_an_error_of_one_rank_ends_all(impatient):
    before = dict(os.environ)
    with pytest.raises(DivergedError, match="on rank 1"):
        spawn_ranks(2, fails_on_one, 1)
    assert os.environ == before


def test_a_rank_that_hangs_at_its_exit_is_not_waited_for(impatient):
    started = time.monotonic()
    assert spawn_ranks(2, hangs_at_its_exit) == 5
    assert time.monotonic() - started < 300


def test_a_process_that_dies_is_named():
    """In a thread that is not the main one, too."""
    found = []

    def start() -> None:
        with pytest.raises(RankError) as caught:
            spawn_ranks(1, dies)
        found.append(str(caught.value))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert found == ["rank 0 died, with code 7"]


def test_signals_reach_the_ranks():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="heard") as caught:
        spawn_ranks(1, waits_for_a_signal)
    assert caught.value.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_ranks_end_with_a_parent_that_is_killed(tmp_path):
    pid = tmp_path / "pid"
    program = (
        "import sys; from tests.runs.test_processes import spawn_ranks, tells_and_sleeps;"
        "spawn_ranks(1, tells_and_sleeps, sys.argv[1])"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, pid], cwd=ROOT)
    while parent.poll() is None and not pid.exists():
        time.sleep(0.01)
    number = int(pid.read_text())
    os.kill(number, 0)  # it is there
    parent.kill()
    parent.wait()
    with pytest.raises(ProcessLookupError):
        look_for(number)


def test_who_started_this_process(monkeypatch):
    assert external_launcher() is None
    tasks = {"SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1", "SLURM_JOB_ID": "1234567"}
    for name, value in tasks.items():
        monkeypatch.setenv(name, value)
    assert external_launcher() is None  # one task: it starts its own ranks
    for name in ("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE"):
        monkeypatch.setenv(name, "4")
    assert external_launcher().world_size() == 4
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(ConfigError, match="--ntasks-per-node=4"):
        external_launcher()


def test_an_srun_that_is_not_used_is_no_matter(tmp_path, monkeypatch, recwarn):
    """As on a login node, where a sweep is submitted."""
    (tmp_path / "srun").touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert external_launcher() is None
    assert [str(warning.message) for warning in recwarn] == []
