"""Processes of srun that wait for each other say so, and hear signals."""

import signal
import socket
import time

import pytest

from tests.support.forked import Command

#: meets the others, and says how many there are
MEET = """
import signal
import sys
from types import SimpleNamespace
from flowlat.runs.ranks import rendezvous
rendezvous.PATIENCE = 0.5
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's "&" takes away
try:
    seconds, rank, port = map(int, sys.argv[1:])
    cluster = SimpleNamespace(
        global_rank=lambda: rank,
        world_size=lambda: 2,
        main_address="127.0.0.1",
        main_port=port,
    )
    rendezvous.meet(cluster, float(seconds), "gloo")
    rendezvous.dist.barrier()  # rank 0 has the store, with which the other may not be done yet
except (Exception, KeyboardInterrupt) as error:
    sys.exit(f"{type(error).__name__}: {error}")
print(rendezvous.dist.get_world_size(), flush=True)
"""


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def start(tmp_path):
    """``start(seconds, rank, port)``: a rank that has so much patience."""
    script = tmp_path / "meet.py"
    script.write_text(MEET)
    return lambda *arguments: Command(tmp_path, str(script), *map(str, arguments))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_alone(rank, start):
    """As where srun was forgotten: it waits for so long, and says for whom."""
    done = start(2, rank, free_port()).wait()
    lines = done.stderr.splitlines()  # among those of PyTorch's own
    assert f"waiting for rank {1 - rank} of 2: start with srun" in lines
    line = f"RankError: rank_timeout=2: rank {1 - rank} of 2 did not come; start with srun"
    assert line in done.stderr
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -15), (signal.SIGINT, 1)])
def test_a_rank_that_waits_is_ended_by_a_signal(number, code, start):
    process = start(1000, 0, free_port())
    while "waiting for rank 1" not in process.errors():
        assert process.running()
        time.sleep(0.01)
    process.send(number)
    done = process.wait(60)
    assert done.returncode == code
    assert ("KeyboardInterrupt" in done.stderr) == (number == signal.SIGINT)


def test_two_ranks_meet(start):
    port = free_port()
    for process in [start(100, rank, port) for rank in (1, 0)]:
        done = process.wait()
        assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
