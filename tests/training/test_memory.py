"""A machine, rather than a GPU, that has too little memory: see also tests/test_interrupt.py."""

import pytest
import torch

from flowlat.samplers import HMC
from flowlat.training.memory import too_little


def starved(*_):
    """More than any machine addresses: refused before it is allocated."""
    return torch.empty(2**50)


def test_which_errors_say_so():
    with pytest.raises(RuntimeError) as caught:
        starved()
    assert too_little(caught.value)
    assert too_little(MemoryError())
    assert too_little(torch.OutOfMemoryError("CUDA out of memory."))
    assert not too_little(RuntimeError("something else"))


def test_a_training(command):
    tiny = ("lattice.shape=[4,4]", "trainer=cpu", "trainer.max_epochs=1")
    done = command("train.py", *tiny, "objective._target_=tests.training.test_memory.starved")
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line == "error: data.batch_size=64: too little memory in this machine"


def test_a_sampling(command, monkeypatch):
    monkeypatch.setattr(HMC, "start", starved)
    done = command("sample.py", "sampler=hmc", "lattice.shape=[4,4]")
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith(
        "error: sampler=hmc: too little memory on cpu for blocks of 1024 configurations; halve "
    )
