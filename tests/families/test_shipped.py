"""The families that come with flowlat: sampled at a theory of one's own, without a training."""

import logging
import math

import pytest
import torch

from flowlat import compose
from flowlat.actions import Phi4
from flowlat.analysis.exact import transfer_matrix
from flowlat.config.build import instantiate
from flowlat.config.checkpoint import load_family, read_checkpoint
from flowlat.config.compose import validate
from flowlat.config.schemas import SampleConfig, TrainConfig
from flowlat.families import checkpoints, shipped_family
from flowlat.families.__main__ import main
from flowlat.flows.domain import Point
from flowlat.flows.ess_map import map_of
from flowlat.lattice import Lattice
from flowlat.sampling.draw import draw
from flowlat.sampling.setup import build_setup
from flowlat.utils.errors import ConfigError

NAMES = [path.stem for path in checkpoints()]
CPU = torch.device("cpu")


def config(*names):
    return validate(compose(names, "sample"), SampleConfig)


def path_of(name):
    return next(path for path in checkpoints() if path.stem == name)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_small_and_is_what_its_option_trains(name):
    path = path_of(name)
    content = read_checkpoint(path)
    assert path.stat().st_size < 100_000
    assert content["flowlat"]["provenance"]["torch"]
    option = validate(compose([f"family={name}"]), TrainConfig)
    trained = content["flowlat"]["config"]
    for key in ("family", "arch", "prior", "symmetrize", "scheduler", "ema_decay"):
        assert trained[key] == option[key], key
    assert map_of(content, len(trained["lattice"]["shape"])) is not None


@pytest.mark.parametrize("name", NAMES)
def test_the_map_of_each_is_what_is_measured_again(name):
    """Of 4,096 samples where ESS is above 0.5, each within 0.1 of a map of as many."""
    path = path_of(name)
    family = load_family(path)
    known = map_of(read_checkpoint(path), family.domain.d)
    action = read_checkpoint(path)["flowlat"]["config"]["action"]
    smallest = min(known.rows.tolist(), key=lambda row: math.prod(row[3:]))
    m2, lam, ess, *shape = smallest
    config = {"action": {**action, "m2": m2, "lam": lam}}
    s = instantiate(config, "action")
    flow = family.at(m2, lam, type(family.smallest)([int(side) for side in shape]))
    phi, log_q = flow.sample(4096, torch.Generator().manual_seed(7))
    w = (-s(phi) - log_q).double().softmax(0)
    assert 1 / (w.square().sum().item() * len(w)) == pytest.approx(ess, abs=0.1)


def test_the_domains_of_one_dimension_do_not_overlap():
    """So that a theory has one family."""
    found = [(p, load_family(p).domain) for p in checkpoints()]
    for path, domain in found:
        others = [d for p, d in found if d.d == domain.d and p != path]
        for point in domain.held_out():
            assert all(other.distance(point) > 0 for other in others), (path.stem, point)


def test_no_checkpoint_is_needed(tmp_path, caplog):
    """<phi dS/dphi> = 1 by the weights, within 5 errors: p = 6e-7."""
    caplog.set_level(logging.INFO)
    names = ("lattice=2d", "lattice.shape=[12,12]", "action.lam=5.3", "n_samples=4096")
    summary = draw(config(*names, "save_configs=false"), tmp_path)
    assert summary["ess"] > 0.9
    estimate = summary["reweighted"]["schwinger_dyson"]
    assert abs(estimate["value"] - 1) < 5 * estimate["error"]
    assert "the family of phi4_2d.ckpt at m2=-4, lam=5.3 on [12, 12], ESS about 0.9" in caplog.text
    with pytest.raises(ConfigError, match=r"action\.lam=5\.5"):
        draw(config(*names, "save_configs=false", "action.lam=5.5", "resume=true"), tmp_path)


@pytest.mark.parametrize(
    ("m2", "lam", "length"), [(-4.0, 0.1, 64), (-4.0, 2.0, 41), (4.0, 20.0, 4)]
)
def test_one_dimension_is_solved(m2, lam, length):
    """At any correlation length; log Z is that of the transfer matrix to 1e-3, in every sample."""
    family = load_family(path_of("phi4_1d"))
    family.domain.require(Point(m2, lam, (length,)))
    flow, exactly = family.at(m2, lam, Lattice([length])), transfer_matrix(m2, lam, length)
    phi, log_q = flow.sample(512, torch.Generator().manual_seed(3))
    log_w = -Phi4(m2, lam)(phi.double()) - log_q.double()
    assert log_w.mean().item() == pytest.approx(exactly["log_z"], abs=1e-3)
    assert log_w.std() < 0.02


def test_a_theory_has_the_family_whose_domain_it_lies_in_or_is_nearest():
    for path in checkpoints():
        domain = load_family(path).domain
        m2, lam, shape = domain.at((0.5, 0.5), domain.lattices[0])
        names = (f"lattice={domain.d}d", f"lattice.shape={list(shape)}", f"action.m2={m2}")
        assert shipped_family(config(*names, f"action.lam={lam}")) == path
    with pytest.raises(ConfigError, match=r"action\.lam=4\.2 .*nearest is action\.lam=4\.\d+"):
        build_setup(config("lattice=2d", "lattice.shape=[12,12]", "action.lam=4.2"), CPU)


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (
            ["action=free", "action.m2=1"],
            r"^lattice\.shape=.* action=free: .*ckpt_path, or .* sampler=hmc",
        ),
        (
            ["lattice=4d", "lattice.shape=[4,4,4,4,4]"],
            r"^lattice\.shape=\[4, 4, 4, 4, 4\] action=phi4: no family in the package",
        ),
        (["lattice.shape=[64,64]"], r"lattice\.shape=\[64, 64\]: .*family\.extrapolate=true"),
    ],
)
def test_what_none_is_for_is_one_line(names, line):
    with pytest.raises(ConfigError, match=line):
        build_setup(config(*names), CPU)


def test_a_sampler_that_needs_no_flow_has_none():
    for sampler in ("hmc", "annealed"):
        setup = build_setup(config(f"sampler={sampler}"), CPU)
        assert "flow" not in setup.config
        assert setup.checkpoint_sha256 is None


def test_the_command_lists_them(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == NAMES


def test_a_small_file_is_the_same_family(tmp_path, capsys):
    small = tmp_path / "small.ckpt"
    assert main([str(checkpoints()[0]), "--output", str(small)]) == 0
    weights = load_family(checkpoints()[0]).state_dict()
    for name, weight in load_family(small).state_dict().items():
        assert torch.equal(weight, weights[name])
    assert main([str(checkpoints()[0]), "--output", str(small)]) != 0
    assert "is there already" in capsys.readouterr().err


def test_the_distance_to_a_domain():
    domain = load_family(path_of("phi4_2d")).domain
    inside = domain.at((0.3, 0.6), (8, 8))
    assert domain.distance(inside) == 0
    low, high = domain.range_of_lam(-4.0, (8, 8))
    length = domain.lam[1] - domain.lam[0]
    assert domain.distance(Point(-4.0, low - 1, (8, 8))) == pytest.approx(1 / length)
    assert domain.distance(Point(-4.0, high + 2, (8, 8))) == pytest.approx(2 / length)
