"""Trainings that start from a family."""

import logging

import pytest
import torch

from flowlat import compose, load_family
from flowlat.config.compose import validate
from flowlat.config.schemas import TrainConfig
from flowlat.families import shipped_family
from flowlat.lattice import Lattice
from flowlat.training.build import build_module
from flowlat.training.fit import fit
from flowlat.training.phase import resolve_phase
from flowlat.utils.errors import CheckpointError, ConfigError
from tests.support.trainings import config as one_flow

THEORY = ("lattice.shape=[6,6]", "action.m2=-3.0", "action.lam=6.5")


def config(*names):
    return validate(compose([*THEORY, *names]), TrainConfig)


def test_it_starts_at_the_familys_flow_of_its_theory(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    wanted = resolve_phase(config("init_from=family"), tmp_path)
    assert wanted["phase"] == "symmetric"
    module = build_module(wanted, {})
    flow = load_family(shipped_family(wanted)).at(-3.0, 6.5, Lattice([6, 6]))
    for name, weight in module.flow.state_dict().items():
        assert torch.equal(weight, flow.state_dict()[name]), name
    assert "the family of phi4_2d.ckpt at m2=-3, lam=6.5 on [6, 6]" in caplog.text


def test_a_family_of_ones_own_is_named_by_its_path(tmp_path):
    path = shipped_family(config())
    theory = config("lattice.shape=[64,64]", f"init_from={path}")  # beyond its domain
    module = build_module(theory, {})
    flow = load_family(path).at(-3.0, 6.5, Lattice([64, 64]))
    weights = flow.state_dict()
    assert all(torch.equal(w, weights[name]) for name, w in module.flow.state_dict().items())


def test_a_family_starts_from_one_in_the_same_coordinates(tmp_path):
    path = shipped_family(config())
    other = ("family=phi4_2d", "family.shapes=[[4,4],[5,7]]", "family.clearance=2", "lattice=2d")
    wanted = validate(compose([*other, f"init_from={path}"]), TrainConfig)
    module = build_module(resolve_phase(wanted, tmp_path), {})
    weights = load_family(path).state_dict()
    assert all(torch.equal(w, weights[name]) for name, w in module.flow.state_dict().items())
    one = tmp_path / "one"
    fit(one_flow(), one)
    with pytest.raises(CheckpointError, match="no family can start"):
        build_module(validate(compose([*other, f"init_from={one}"]), TrainConfig), {})


@pytest.mark.parametrize(
    ("names", "error", "line"),
    [
        (["arch=conv"], CheckpointError, "do not fit"),
        (
            ["action=free", "action.m2=1.0"],
            ConfigError,
            r"^init_from=family: .*=free: no family.*needs no start",
        ),
        (
            ["family=phi4_2d", "family.degrees=[3,3]"],
            ConfigError,
            r"degrees=\[3, 3\]: .*\[5, 8",
        ),
    ],
)
def test_what_cannot_be_started_so_is_one_line(names, error, line):
    with pytest.raises(error, match=line) as caught:
        build_module(validate(compose([*names, "init_from=family"]), TrainConfig), {})
    assert "\n" not in str(caught.value)
