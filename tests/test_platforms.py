"""Windows and Apple, played: what Python and PyTorch have not there, nothing here relies on."""

import os
import subprocess
import sys

import pytest
import torch

from flowlat import compose
from flowlat.config.build import instantiate
from flowlat.config.compose import validate
from flowlat.config.schemas import TrainConfig
from flowlat.sampling.setup import pick_devices
from flowlat.training.trainer import accelerator_of, check_trainer
from flowlat.utils import files
from flowlat.utils.errors import ConfigError
from tests.support.helpers import ROOT

#: what others need is imported first: they have their own ways about
WINDOWS = """
import importlib, os, pkgutil, signal, sys
import h5py, hydra, lightning.pytorch, matplotlib, pyerrors, torch.multiprocessing, wandb
for name in ("SIGUSR1", "SIGUSR2", "SIGKILL", "SIGHUP", "SIGALRM"):
    delattr(signal, name)
for name in ("fork", "setsid", "getuid", "killpg", "uname", "sched_getaffinity"):
    delattr(os, name)
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
import flowlat
for module in pkgutil.walk_packages(flowlat.__path__, "flowlat."):
    if "triton" not in module.name and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from flowlat.runs.signals import Signals
with Signals() as signals:
    signal.raise_signal(signal.SIGTERM)
print("heard", signals.received.name)
"""


def test_every_module_can_be_imported_on_windows():
    command = [sys.executable, "-c", WINDOWS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "heard SIGTERM\n", done.stderr


def test_a_file_is_written_through_where_folders_cannot_be_opened(tmp_path, monkeypatch):
    opened = []
    open_, nt = os.open, os.name

    def windows(path, flags):
        if path.is_dir() or flags != os.O_RDWR:  # fsync of a handle to read from fails there
            raise PermissionError(13, "Permission denied", str(path))
        opened.append(path.name)
        return open_(path, flags)

    monkeypatch.setattr(files.os, "open", windows)
    with pytest.raises(PermissionError):
        files.write_json(tmp_path / "a.json", {})
    monkeypatch.setattr(files.os, "name", "nt")
    with files.replacing(tmp_path / "a.json") as partial:
        partial.write_text("{}")
    monkeypatch.setattr(files.os, "name", nt)  # pathlib looks too
    assert opened == [".a.json.partial"]
    assert (tmp_path / "a.json").read_text() == "{}"


@pytest.fixture
def apple(monkeypatch):
    """A machine with Apple's GPU, and no other."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_auto_is_the_cpu_of_an_apple(apple):
    config = validate(compose(["trainer=auto"]), TrainConfig)
    check_trainer(config["trainer"])
    accelerator = accelerator_of(config["trainer"])
    trainer = instantiate(config, "trainer", logger=False, accelerator=accelerator)
    assert trainer.strategy.root_device.type == "cpu"
    assert pick_devices("auto", 1) == [torch.device("cpu")]


def test_auto_is_a_cuda_device_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert accelerator_of({"accelerator": "auto"}) == "cuda"
    assert accelerator_of({"accelerator": "cpu"}) == "cpu"


@pytest.mark.parametrize("name", ["mps", "gpu"])
def test_the_gpu_of_an_apple_is_refused_in_a_training(apple, name):
    config = validate(compose([f"trainer.accelerator={name}"]), TrainConfig)
    with pytest.raises(ConfigError, match=f"{name}: Apple's GPU has no float64"):
        check_trainer(config["trainer"])


def test_a_device_without_float64_is_refused_in_a_sampling(monkeypatch):
    def empty(*shape, dtype=torch.float32, device="cpu"):
        if dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return torch.zeros(*shape, dtype=dtype)

    monkeypatch.setattr(torch, "empty", empty)
    with pytest.raises(ConfigError, match="device=mps devices=1: Cannot convert a MPS Tensor"):
        pick_devices("mps", 1)
