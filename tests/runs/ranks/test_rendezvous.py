"""Processes of srun that wait for each other say so, and hear signals."""

import signal
import socket
import subprocess
import sys

import pytest

#: meets the others, and says how many there are
MEET = """
import signal
import sys
from types import SimpleNamespace
from flowlat.runs.ranks import rendezvous
rendezvous.PATIENCE = 0.5
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's "&" takes away
try:
    rank, port = map(int, sys.argv[2:])
    cluster = SimpleNamespace(
        global_rank=lambda: rank,
        world_size=lambda: 2,
        main_address="127.0.0.1",
        main_port=port,
    )
    rendezvous.meet(cluster, float(sys.argv[1]), "gloo")
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
print(rendezvous.dist.get_world_size(), flush=True)
"""


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start(rank, port, seconds):
    command = [sys.executable, "-c", MEET, *map(str, (seconds, rank, port))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_alone(rank):
    """As where srun was forgotten: it waits for so long, and says for whom."""
    out, err = (process := start(rank, free_port(), 2)).communicate(timeout=100)
    lines = err.splitlines()  # among those of PyTorch's own
    assert f"waiting for rank {1 - rank} of 2: start with srun" in lines
    assert f"RankError: rank_timeout=2: rank {1 - rank} of 2 did not come; start with srun" in err
    assert (process.returncode, out) == (1, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_rank_that_waits_is_ended_by_a_signal(number):
    with start(0, free_port(), 1000) as process:
        try:
            while "waiting for rank 1" not in process.stderr.readline():
                assert process.poll() is None
            process.send_signal(number)
            process.communicate(timeout=60)
            assert process.returncode == -number
        finally:
            process.kill()


def test_two_ranks_meet():
    port = free_port()
    processes = [start(rank, port, 100) for rank in (1, 0)]
    for process in processes:
        out, err = process.communicate(timeout=100)
        assert (process.returncode, out) == (0, "2\n"), err
