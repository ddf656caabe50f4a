"""Processes that are ranks of one group: what they return, and how they end."""

import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing import parent_process
from pathlib import Path

import pytest
import torch

from flowlat.runs.ranks.processes import spawn_ranks
from flowlat.runs.signals import Signals
from flowlat.utils.errors import DivergedError, Interrupted, RankError
from flowlat.utils.files import replacing
from tests.support.forked import CONTEXT, fork_ranks


def fails_on_one(rank: int) -> None:
    """One rank fails, and the others wait for it."""
    if int(os.environ["RANK"]) == rank:
        raise DivergedError(f"on rank {rank}")
    time.sleep(60)


def dies() -> None:
    os._exit(7)


def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def loses_the_other(end: Callable[[], None]) -> None:
    """Rank 1 ends, and rank 0 fails as it would without it."""
    if os.environ["RANK"] == "1":
        end()
    raise RuntimeError("connection closed by peer")


def waits_for_a_signal() -> None:
    signals = Signals()
    with signals:
        # as a scheduler would, which knows the parent alone
        os.kill(parent_process().pid, signal.SIGTERM)
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
def forked(monkeypatch):
    fork_ranks(monkeypatch)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("flowlat.runs.ranks.processes.GRACE", 0.1)


def test_an_error_of_one_rank_ends_all(forked, impatient):
    before = dict(os.environ)
    with pytest.raises(DivergedError, match="on rank 1"):
        spawn_ranks(2, fails_on_one, 1)
    assert os.environ == before


def test_a_rank_that_hangs_at_its_exit_is_not_waited_for(forked, impatient):
    started = time.monotonic()
    assert spawn_ranks(2, hangs_at_its_exit) == 5
    assert time.monotonic() - started < 300


def test_a_process_that_dies_is_named(forked):
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


@pytest.mark.parametrize(("end", "cause"), [(is_killed, "by SIGKILL"), (dies, "with code 7")])
def test_a_death_is_named_before_what_came_of_it(end, cause, forked, monkeypatch):
    """Where both are seen at once, too."""
    start = torch.multiprocessing.spawn

    def start_and_see_both(*arguments, **options):
        context = start(*arguments, **options)
        for process in context.processes:
            process.join()
        return context

    monkeypatch.setattr(torch.multiprocessing, "spawn", start_and_see_both)
    with pytest.raises(RankError, match=f"rank 1 died, {cause}"):
        spawn_ranks(2, loses_the_other, end)


def test_signals_reach_the_ranks(forked):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="heard") as caught:
        spawn_ranks(1, waits_for_a_signal)
    assert caught.value.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_ranks_end_with_a_parent_that_is_killed(tmp_path):
    pid = tmp_path / "pid"
    parent = CONTEXT.Process(target=spawn_ranks, args=(1, tells_and_sleeps, str(pid)))
    parent.start()
    while parent.is_alive() and not pid.exists():
        time.sleep(0.01)
    number = int(pid.read_text())
    os.kill(number, 0)  # it is there
    parent.kill()
    parent.join()
    with pytest.raises(ProcessLookupError):
        look_for(number)


@pytest.mark.parametrize(("number", "n"), [(signal.SIGINT, 1), (signal.SIGTERM, 2)])
def test_a_signal_while_the_ranks_import(number, n, capfd):
    """Neither a traceback of theirs nor, of several, a word of PyTorch's."""
    threading.Timer(0.5, os.kill, (os.getpid(), number)).start()
    with pytest.raises(Interrupted) as caught:
        spawn_ranks(n, time.sleep, 60)
    assert caught.value.number == number
    assert capfd.readouterr() == ("", "")
