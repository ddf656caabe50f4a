"""A machine, rather than a GPU, that has too little memory: see also tests/test_interrupt.py."""

import pytest
import torch

from flowlat.samplers import HMC
from flowlat.utils.memory import out_of_memory

TOO_LITTLE = "too little memory on cpu: halve data.batch_size=32 (or evaluation.batch_size=1024)"


def starved(*_):
    """More than any machine addresses: refused before it is allocated."""
    return torch.empty(2**50)


def test_which_errors_say_so():
    with pytest.raises(RuntimeError) as caught:
        starved()
    assert out_of_memory(caught.value)
    assert out_of_memory(MemoryError())
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not out_of_memory(RuntimeError("something else"))


def test_a_training(command):
    tiny = ("lattice.shape=[4,4]", "trainer=cpu", "trainer.max_epochs=1")
    done = command("train.py", *tiny, "objective._target_=tests.training.test_memory.starved")
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line == "error: " + TOO_LITTLE


def test_a_sampling(command, monkeypatch):
    monkeypatch.setattr(HMC, "start", starved)
    done = command("sample.py", "sampler=hmc", "lattice.shape=[4,4]")
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith(
        "error: sampler=hmc: too little memory on cpu for blocks of 1024 configurations; halve "
    )
