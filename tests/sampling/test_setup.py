import hashlib

import pytest
import torch

from flowlat.actions import Free, Phi4
from flowlat.sampling.setup import build_setup, pick_devices
from flowlat.utils.errors import CheckpointError, ConfigError
from tests.support.fakes import NeedsFlow, Walk, save_flow, walk_config

CPU = torch.device("cpu")
FLOW = {"_target_": "tests.support.fakes.NeedsFlow"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "best_ess.ckpt"
    return save_flow(path, "lattice.shape=[4,6]", "action=free", "arch=conv", "arch.n_couplings=2")


def test_without_a_checkpoint_it_is_the_theory_of_the_config():
    config = walk_config()
    setup = build_setup(config, CPU)
    assert setup.lattice.shape == (2, 4)
    assert isinstance(setup.action, Phi4)
    assert setup.checkpoint_sha256 is None
    assert setup.config == config
    assert isinstance(setup.sampler, Walk)
    assert (setup.sampler.lattice, setup.sampler.action) == (setup.lattice, setup.action)


@pytest.mark.parametrize("precision", [None, 32, 64])
def test_a_checkpoint_brings_theory_and_flow(precision, checkpoint):
    config = walk_config(ckpt_path=str(checkpoint), precision=precision)
    config["sampler"] = FLOW
    setup = build_setup(config, CPU)
    assert setup.lattice.shape == (4, 6)
    assert isinstance(setup.action, Free)
    assert setup.config["lattice"]["shape"] == [4, 6]
    assert setup.config["flow"]["action"] == setup.config["action"]
    assert setup.checkpoint_sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert isinstance(setup.sampler, NeedsFlow)
    expected = torch.float64 if precision == 64 else torch.float32
    assert next(setup.sampler.flow.parameters()).dtype == expected
    assert setup.sampler.rows == 3 * config["batch_size"]


def test_a_sampler_without_a_flow_takes_only_the_theory(checkpoint):
    setup = build_setup(walk_config(ckpt_path=str(checkpoint)), CPU)
    assert "flow" not in setup.config
    assert setup.sampler.lattice.shape == (4, 6)


def test_options_that_are_not_the_samplers(checkpoint):
    config = walk_config(ckpt_path=str(checkpoint))
    config["sampler"] = {**FLOW, "batch_size": 3}
    with pytest.raises(ConfigError, match=r"sampler.batch_size=3"):
        build_setup(config, CPU)
    config["sampler"] = {"_target_": "flowlat.lattice.Lattice", "shape": [2]}
    with pytest.raises(ConfigError, match=r"sampler._target_=flowlat.lattice.Lattice: not a"):
        build_setup({**config, "ckpt_path": None}, CPU)


def test_checkpoints_that_are_none(tmp_path):
    with pytest.raises(CheckpointError, match=r"ckpt_path=.*none.ckpt: no such file"):
        build_setup(walk_config(ckpt_path=str(tmp_path / "none.ckpt")), CPU)


def test_devices():
    assert pick_devices("cpu", 1) == [CPU]
    assert pick_devices("cpu", 3) == [CPU] * 3
    assert pick_devices("auto", 1)[0].type in ("cpu", "cuda")
    for name in ("abacus", "cuda:99"):
        with pytest.raises(ConfigError, match=f"device={name} devices=1: ") as caught:
            pick_devices(name, 1)
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="device=cuda:1 devices=2: name the kind only"):
        pick_devices("cuda:1", 2)


def test_more_devices_than_there_are(monkeypatch):
    def two_gpus(*_, device, **__):
        if device.index >= 2:
            raise RuntimeError("invalid device ordinal")

    monkeypatch.setattr(torch, "empty", two_gpus)
    assert pick_devices("cuda", 2) == [torch.device("cuda:0"), torch.device("cuda:1")]
    with pytest.raises(ConfigError, match="device=cuda devices=3: invalid device ordinal"):
        pick_devices("cuda", 3)
