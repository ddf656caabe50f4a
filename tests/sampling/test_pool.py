"""The blocks of a run, drawn by several processes, are those of one."""

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from flowlat import compose
from flowlat.actions import Phi4
from flowlat.config.compose import validate
from flowlat.config.schemas import SampleConfig
from flowlat.ensemble import writer
from flowlat.ensemble.writer import EnsembleWriter
from flowlat.lattice import Lattice
from flowlat.observables import Configurations, Observable
from flowlat.samplers import Annealed, Metropolis
from flowlat.sampling.draw import draw
from flowlat.utils.errors import ConfigError, Interrupted, RankError
from tests.sampling.test_draw import PowerCut, assert_same, cut_after
from tests.support.fakes import Wrong, save_flow  # noqa: F401  (named in a config)
from tests.support.forked import fork_workers
from tests.support.helpers import moved_flow


def config_of(*names: str):
    names = ("threads=1", "device=cpu", "batch_size=50", *names)
    return validate(compose(names, "sample"), SampleConfig)


def test_two_processes_draw_the_chain_of_one(tmp_path, monkeypatch):
    """Cut short with two of them, and gone on with by one."""
    fork_workers(monkeypatch)
    path = save_flow(tmp_path / "flow.ckpt", "lattice.shape=[4,4]", "arch=combconv_k1")
    names = [f"ckpt_path={path}", "n_samples=330", "sampler.replicas=2"]
    for folder in ("whole", "cut"):
        (tmp_path / folder).mkdir()
    draw(config_of(*names), tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(writer, "PART_SECONDS", 0.0)
        patch.setattr(EnsembleWriter, "append", cut_after(5, EnsembleWriter.append))
        with pytest.raises(PowerCut):
            draw(config_of(*names, "devices=2"), tmp_path / "cut")
    assert len(list((tmp_path / "cut" / "parts").iterdir())) == 5
    draw(config_of(*names, "resume=true"), tmp_path / "cut")
    assert_same(tmp_path / "cut", tmp_path / "whole")


@pytest.mark.parametrize("name", ["metropolis", "annealed"])
def test_a_block_can_be_drawn_before_the_one_before(name):
    """That is what the processes do: from the state that a run starts with."""
    action = Phi4(-4.0, 8.0)
    if name == "metropolis":
        sampler = Metropolis(moved_flow("lattice.shape=[4,4]"), 8, action, replicas=2)
    else:
        sampler = Annealed(Lattice((4, 4)), action, None, 8, n_steps=5, resample_below=0.9)
    first = sampler.start(torch.Generator().manual_seed(1))
    state = first
    for number in range(3):
        early, auxiliary = sampler.draw(first, torch.Generator().manual_seed(number))
        joined, accepted = sampler.join(state, early.log_weight, auxiliary)
        state, block = sampler.step(state, torch.Generator().manual_seed(number))
        assert torch.equal(early.phi, block.phi)
        assert torch.equal(early.log_weight, block.log_weight)
        assert (accepted is None) == (name == "annealed")
        assert accepted is None or torch.equal(accepted, block.accepted)
        assert all(map(torch.equal, joined, state))


def test_what_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"devices=2: a block of sampler=hmc .*replicas"):
        draw(config_of("sampler=hmc", "devices=2"), tmp_path)
    with pytest.raises(ConfigError, match="devices=0"):
        config_of("sampler=hmc", "devices=0")


class Mortal(Observable):
    """Of no process for long."""

    def measure(self, configurations: Configurations) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGKILL)


class Broken(Observable):
    """Has an error of its own."""

    def measure(self, configurations: Configurations) -> torch.Tensor:
        raise KeyError("of the user's own")


class Loud(Observable):
    """While LOUD is set, SIGTERM for every process, as a scheduler sends it."""

    def measure(self, configurations: Configurations) -> torch.Tensor:
        for pid in (os.getpid(), os.getppid()) if "LOUD" in os.environ else ():
            os.kill(pid, signal.SIGTERM)
        return torch.zeros(len(configurations.phi))


def options(folder: Path, observable: str) -> dict[str, Any]:
    path = save_flow(folder / "flow.ckpt", "lattice.shape=[4,4]", "arch=combconv_k1")
    target = f"+observables.own._target_=tests.sampling.test_pool.{observable}"
    return config_of(f"ckpt_path={path}", "devices=2", "n_samples=200", target)


def test_a_process_that_dies_is_one_line(tmp_path, monkeypatch):
    fork_workers(monkeypatch)
    before = multiprocessing.active_children()
    with pytest.raises(RankError, match=r"^devices=2: a process died$"):
        draw(options(tmp_path, "Mortal"), tmp_path)
    assert set(multiprocessing.active_children()) <= set(before)


def test_an_error_of_a_process_is_raised_here(tmp_path, monkeypatch):
    fork_workers(monkeypatch)
    with pytest.raises(KeyError, match="of the user's own") as caught:
        draw(options(tmp_path, "Broken"), tmp_path)
    assert "in measure" in str(caught.value.__cause__)
    with pytest.raises(ConfigError, match=r"sampler=metropolis .*observables.own: measures"):
        draw(options(tmp_path, "Wrong"), tmp_path)


def test_a_signal_to_all_processes_ends_it_between_two_blocks(tmp_path, monkeypatch):
    """Of processes that are new, as a user's are: it is held back from them."""
    path = save_flow(tmp_path / "flow.ckpt", "lattice.shape=[4,4]", "arch=combconv_k1")
    names = [f"ckpt_path={path}", "n_samples=500", f"+observables.own._target_={__name__}.Loud"]
    for folder in ("whole", "cut"):
        (tmp_path / folder).mkdir()
    draw(config_of(*names), tmp_path / "whole")
    monkeypatch.setenv("LOUD", "1")
    with pytest.raises(Interrupted, match=r"^ended by SIGTERM after block \d of 10$") as caught:
        draw(config_of(*names, "devices=2"), tmp_path / "cut")
    assert caught.value.number == signal.SIGTERM
    monkeypatch.delenv("LOUD")
    draw(config_of(*names, "resume=true"), tmp_path / "cut")
    assert_same(tmp_path / "cut", tmp_path / "whole")
