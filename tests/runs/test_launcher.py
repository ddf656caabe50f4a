"""Who started this process, by what is in its environment."""

import os

import pytest

from flowlat.runs.launcher import RANKS, external_launcher, rank
from flowlat.utils.errors import ConfigError


def test_the_rank(monkeypatch):
    """Of a process that torchrun, srun or ``spawn_ranks`` started; 0 of any other."""
    for name in RANKS:
        monkeypatch.delenv(name, raising=False)
    assert rank() == 0
    for number, name in enumerate(reversed(RANKS), 1):  # what is said first counts
        monkeypatch.setenv(name, str(number))
        assert rank() == number


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
