"""The blocks of a run, drawn by several processes, are those of one."""

import pytest
import torch

from flowlat import compose
from flowlat.actions import Phi4
from flowlat.config.compose import validate
from flowlat.config.schemas import SampleConfig
from flowlat.ensemble.writer import Store
from flowlat.lattice import Lattice
from flowlat.samplers import Annealed, Metropolis
from flowlat.sampling.draw import draw
from flowlat.sampling.pool import pick_devices
from flowlat.utils.errors import ConfigError
from tests.sampling.test_draw import PowerCut, assert_same, cut_after
from tests.support.fakes import save_flow
from tests.support.helpers import moved_flow


def config_of(*names: str):
    names = ("threads=1", "device=cpu", "batch_size=50", *names)
    return validate(compose(names, "sample"), SampleConfig)


def test_two_processes_draw_the_chain_of_one(tmp_path, monkeypatch):
    """Cut short with two of them, and gone on with by one."""
    path = save_flow(tmp_path / "flow.ckpt", "lattice.shape=[4,4]", "arch=combconv_k1")
    names = [f"ckpt_path={path}", "n_samples=330", "sampler.replicas=2"]
    for folder in ("whole", "cut"):
        (tmp_path / folder).mkdir()
    draw(config_of(*names), tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(Store, "append", cut_after(5, Store.append))
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


def test_samplers_and_devices_that_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"devices=2: a block of sampler=hmc .*replicas"):
        draw(config_of("sampler=hmc", "devices=2"), tmp_path)
    with pytest.raises(ConfigError, match="device=cuda:1 with devices=2"):
        pick_devices(torch.device("cuda:1"), 2)
    with pytest.raises(ConfigError, match=r"devices=99: this machine has \d+ GPUs"):
        pick_devices(torch.device("cuda"), 99)
    with pytest.raises(ConfigError, match="devices=0"):
        config_of("sampler=hmc", "devices=0")
    assert pick_devices(torch.device("cuda:1"), 1) == [torch.device("cuda:1")]
