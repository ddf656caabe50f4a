import logging

import pytest
import torch

from flowlat import compose, load_family
from flowlat.config.compose import refuse_theory, validate
from flowlat.config.schemas import SampleConfig
from flowlat.lattice import Lattice
from flowlat.sampling.draw import draw
from flowlat.sampling.setup import build_setup
from flowlat.training.fit import fit
from flowlat.utils.errors import CheckpointError, ConfigError
from tests.support.trainings import config as one_flow
from tests.training.test_family import config as family_config

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("family")
    fit(family_config(), folder)
    return folder / "checkpoints" / "best_ess.ckpt"


def config(path, *names):
    theory = ("lattice.shape=[4,4]", "action.m2=-3", "action.lam=7.5")
    return validate(compose([f"ckpt_path={path}", *theory, *names], "sample"), SampleConfig)


def test_the_flow_is_that_of_the_theory_which_is_typed(checkpoint, caplog):
    caplog.set_level(logging.INFO)
    setup = build_setup(config(checkpoint), CPU)
    flow = load_family(checkpoint).at(-3, 7.5, Lattice([4, 4]))
    for name, weight in setup.sampler.flow.state_dict().items():
        assert torch.equal(weight, flow.state_dict()[name])
    assert (setup.action.m2, setup.action.lam) == (-3, 7.5)
    assert setup.config["flow"]["action"]["lam"] == 7.5
    assert setup.config["flow"]["lattice"]["shape"] == [4, 4]
    (line,) = [r.getMessage() for r in caplog.records if "the family of" in r.getMessage()]
    assert "at m2=-3, lam=7.5 on [4, 4], ESS about 0." in line


def test_what_is_drawn_is_an_ensemble_of_that_theory(checkpoint, tmp_path):
    """<phi dS/dphi> = 1 by the weights, within 5 errors: p = 6e-7."""
    names = ("n_samples=4096", "save_configs=false", "precision=64")
    summary = draw(config(checkpoint, *names), tmp_path)
    assert summary["n_samples"] == 4096
    estimate = summary["reweighted"]["schwinger_dyson"]
    assert abs(estimate["value"] - 1) < 5 * estimate["error"]
    with pytest.raises(ConfigError, match=r"action\.lam=8"):
        draw(config(checkpoint, *names, "resume=true", "action.lam=8"), tmp_path)


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["action.lam=2.0"], r"action\.lam=2\.0 .*nearest is action\.lam=.*family\.extrapolate"),
        (["action.m2=3.0"], r"action\.m2=3\.0: .*nearest is action\.m2=2"),
        (["lattice.shape=[16,16]"], r"lattice\.shape=\[16, 16\]: .*sides from 4 to 6"),
        (["lattice=3d", "lattice.shape=[4,4,4]"], "the family is one of d=2"),
    ],
)
def test_beyond_the_domain_one_line_says_so(names, line, checkpoint):
    with pytest.raises(ConfigError, match=line):
        build_setup(config(checkpoint, *names), CPU)


def test_whoever_wants_it_goes_beyond(checkpoint, caplog):
    caplog.set_level(logging.INFO)
    names = ("family.extrapolate=true", "lattice.shape=[8,8]", "action.lam=2.0")
    setup = build_setup(config(checkpoint, *names), CPU)
    assert setup.sampler.flow.lattice.shape == (8, 8)
    assert "on [8, 8], extrapolated" in caplog.text
    with pytest.raises(ConfigError, match="the family is one of d=2"):
        build_setup(config(checkpoint, *names, "lattice=1d", "lattice.shape=[8]"), CPU)


def test_another_action_is_refused(checkpoint):
    names = ["action=free", "action.m2=1.0", "lattice.shape=[4,4]", f"ckpt_path={checkpoint}"]
    free = validate(compose(names, "sample"), SampleConfig)
    with pytest.raises(ConfigError, match=r"action\._target_=flowlat\.actions\.Free: the family"):
        build_setup(free, CPU)


def test_hmc_takes_the_theory_that_is_typed(checkpoint):
    setup = build_setup(config(checkpoint, "sampler=hmc"), CPU)
    assert setup.action.lam == 7.5
    assert "flow" not in setup.config


def test_the_checkpoint_of_one_flow_keeps_its_theory(tmp_path, checkpoint):
    fit(one_flow(), tmp_path)
    path = tmp_path / "checkpoints" / "last.ckpt"
    with pytest.raises(ConfigError, match="those of the checkpoint"):
        refuse_theory([f"ckpt_path={path}", "action.lam=5.3"])
    refuse_theory([f"ckpt_path={checkpoint}", "action.lam=5.3"])


def test_weights_that_are_not_finite_are_refused(checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    for name, weight in content["state_dict"].items():
        if name.endswith("prior/log_mass2"):
            weight.fill_(torch.nan)
    torch.save(content, tmp_path / "edited.ckpt")
    with pytest.raises(CheckpointError, match="not finite"):
        load_family(tmp_path / "edited.ckpt")
