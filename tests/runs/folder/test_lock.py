"""One writer a folder: the living are respected, the dead are not, on this host and on another."""

import os
import socket
import subprocess
import sys
import time

import pytest

from flowlat.runs.folder import lock
from flowlat.runs.folder.lock import LOCK, hold, release
from flowlat.utils.errors import ConfigError

#: takes the folder of its argument, says so, and keeps it
HOLDER = """
import sys, time; from pathlib import Path; from flowlat.runs.folder.lock import hold
hold(Path(sys.argv[1]), "key"); print("held", flush=True); time.sleep(100)
"""


@pytest.fixture
def holder(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_living_process_is_named_and_a_killed_one_is_no_obstacle(holder, tmp_path):
    before = (tmp_path / LOCK).read_text()
    with pytest.raises(ConfigError, match=f"key=.*: process {holder.pid} of this machine is at"):
        hold(tmp_path, "key")
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]
    assert (tmp_path / LOCK).read_text() == before
    holder.kill()
    holder.wait()
    hold(tmp_path, "key")
    assert f"pid={os.getpid()}\n" in (tmp_path / LOCK).read_text()
    release(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_process_has_its_folder_as_often_as_it_asks(tmp_path):
    hold(tmp_path, "key")
    hold(tmp_path, "key")
    release(tmp_path)
    release(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("alive", [False, True])
def test_a_process_of_another_host(alive, tmp_path, monkeypatch):
    """Whether it lives is seen by whether it touches its lock file, as on NFS."""
    monkeypatch.setattr(lock, "LEASE", 1.0)
    hold(tmp_path, "key")
    theirs = (tmp_path / LOCK).read_text().replace(socket.gethostname(), "elsewhere", 1)
    release(tmp_path)
    (tmp_path / LOCK).write_text(theirs)
    if alive:
        touch = "import os, sys, time\nwhile True: os.utime(sys.argv[1]); time.sleep(0.1)"
        command = [sys.executable, "-c", touch, str(tmp_path / LOCK)]
        with subprocess.Popen(command) as process:
            time.sleep(0.5)
            with pytest.raises(ConfigError, match="of elsewhere is at work in it"):
                hold(tmp_path, "key")
            process.kill()
        assert (tmp_path / LOCK).read_text() == theirs
    else:
        hold(tmp_path, "key")
        release(tmp_path)
