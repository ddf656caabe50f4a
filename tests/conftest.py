"""Every test on one thread; a seeded start; the commands run within this process."""

import logging
import os
import runpy
import sys
from types import SimpleNamespace

# before numpy and torch start their threads: on small arrays a second one only costs
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from tests.support.helpers import ROOT
from tests.support.queue_scripts import Scripts


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def no_pictures():
    """Of runs in this process, which often would take longer than they do."""
    with pytest.MonkeyPatch.context() as patch:
        for place in ("training.fit.plot_training", "sampling.draw.plot"):
            patch.setattr(f"flowlat.{place}", lambda content, path: path.touch())
        yield


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """``command("train.py", "seed=1")`` in ``tmp_path`` and without the start-up of a process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def start(script: str, *arguments: str) -> SimpleNamespace:
        GlobalHydra.instance().clear()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [str(ROOT / script), *arguments, "threads=1"])
        try:
            runpy.run_path(str(ROOT / script), run_name="__main__")
            code = 0
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=out, stderr=err)

    yield start
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def scontrol(tmp_path_factory, monkeypatch):
    """The commands of a SLURM, as scripts."""
    folder = tmp_path_factory.mktemp("bin")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return Scripts(folder)
