import logging

import pytest
import torch

from flowlat import compose
from flowlat.actions import Phi4
from flowlat.config.compose import validate
from flowlat.config.schemas import TrainConfig
from flowlat.lattice import Lattice
from flowlat.training import phase as module
from flowlat.training.fit import fit
from flowlat.training.phase import Order, measure_order, resolve_phase
from flowlat.utils.errors import CheckpointError, ConfigError, EnsembleError
from tests.support.tilted import Tilted
from tests.support.trainings import TINY


def config(*names):
    names = [*(name for name in TINY if "phase" not in name), *names]
    return validate(compose(names), TrainConfig)


@pytest.mark.parametrize(
    ("names", "phase"),
    [
        (["lattice.shape=[4,4,4,4]"], "ordered"),
        (["lattice.shape=[4,4,4,4]", "action.lam=16"], "symmetric"),
        (["lattice.shape=[4,4,4]", "action.lam=4"], "ordered"),
        (["lattice.shape=[8,8]"], "symmetric"),
        (["lattice.shape=[12,12]", "action.lam=3.8"], "ordered"),
        (["lattice.shape=[8]", "action.lam=0.3"], "ordered"),
        (["lattice.shape=[16]", "action.lam=2"], "symmetric"),
        (["action=free", "action.m2=0.1"], "symmetric"),
    ],
)
def test_the_phase_is_found(names, phase, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    given = config(*names)
    found = resolve_phase(given, tmp_path)
    assert found["phase"] == phase
    assert found["symmetrize"] is (phase == "ordered")
    assert found["arch"]["equivariant"] is (phase == "symmetric")
    assert (found["prior"]["shift"] is None) is (phase == "symmetric")
    assert f"phase={phase} found: U4 = " in caplog.text
    assert ("arch.equivariant=false" in caplog.text) is (phase == "ordered")
    assert given["phase"] == "auto"  # the config that was given is left alone
    assert resolve_phase(given, tmp_path) == found


def test_order_of_the_exact_site():
    """One site, against quadrature: 64 chains of 200 trajectories, 1280 independent draws and more.

    5 sigma of <|M|> are then 0.04, of U4 0.05 and of the skewness 0.35: p below 1e-6 each.
    """
    action = Phi4(-4.0, 4.0)
    x = torch.linspace(-4, 4, 20001, dtype=torch.float64)
    weight = torch.exp(-action(x.reshape(-1, 1)))
    mean = [float((weight * x.abs() ** n).sum() / weight.sum()) for n in (1, 2, 3, 4)]
    order = measure_order(Lattice([1]), action, seed=3)
    assert order.magnetization == pytest.approx(mean[0], abs=0.04)
    assert order.binder == pytest.approx(1 - mean[3] / (3 * mean[1] ** 2), abs=0.05)
    variance = mean[1] - mean[0] ** 2
    skewness = (mean[2] - 3 * mean[0] * mean[1] + 2 * mean[0] ** 3) / variance**1.5
    assert order.skewness == pytest.approx(skewness, abs=0.35)


@pytest.mark.parametrize("arch", ["continuous", "combconv_k1"])
@pytest.mark.parametrize("skewness", [-0.5, -0.8])
def test_a_tail_of_the_modes_is_left_to_an_ode(arch, skewness, tmp_path, monkeypatch):
    """Couplings cannot tear one mode into two: they learn one of them in any case."""
    monkeypatch.setattr(module, "measure_order", lambda *_: Order(0.66, 0.59, skewness))
    found = resolve_phase(validate(compose([f"arch={arch}"]), TrainConfig), tmp_path)
    torn = arch == "continuous" and skewness == -0.8
    assert found["phase"] == ("symmetric" if torn else "ordered")


def test_a_mean_that_is_given_stays_and_needs_no_hmc(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HMC", None)
    found = resolve_phase(config("recipe=ordered"), tmp_path)
    assert (found["phase"], found["symmetrize"], found["prior"]["shift"]) == ("ordered", True, 0.5)
    for names in (["phase=symmetric"], ["recipe=published"]):
        given = config(*names)
        assert resolve_phase(given, tmp_path) == given


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["prior=transfer_matrix"], r"^prior: lattice\.shape=.*prior=transfer_matrix is for d=1"),
        (["optimizer.lr=-1"], r"^optimizer\.lr=-1"),
        (["objective=forward_kl", "objective.ensemble=none"], r"^objective\.ensemble: none"),
        (["arch=combconv_k3"], r"^arch: "),
    ],
    ids=["prior", "rate", "ensemble", "arch"],
)
def test_what_cannot_be_trained_is_refused_before_hmc_runs(names, line, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HMC", None)
    given = config("lattice.shape=[4,4]", *names)
    with pytest.raises((ConfigError, EnsembleError), match=line):
        resolve_phase(given, tmp_path)


def test_an_ordered_phase_in_a_symmetric_one(tmp_path):
    found = resolve_phase(config("phase=ordered", "prior=normal"), tmp_path)
    assert (found["symmetrize"], found["arch"]["equivariant"]) == (True, False)
    assert "shift" not in found["prior"]


def test_an_action_that_is_not_even(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "build_action", lambda config: Tilted(1.0, 1.0, 0.5))
    with pytest.raises(ConfigError, match="phase=ordered: the action is not even"):
        resolve_phase(config("phase=ordered"), tmp_path)
    assert resolve_phase(config(), tmp_path)["phase"] == "symmetric"


def test_an_action_that_hmc_cannot_sample(tmp_path, monkeypatch, caplog):
    def fails(*arguments):
        raise ValueError("no step size")

    monkeypatch.setattr(module, "measure_order", fails)
    assert resolve_phase(config(), tmp_path)["phase"] == "symmetric"
    assert "trained as symmetric: no step size" in caplog.text
    with pytest.raises(ConfigError, match=r"no <.M.> to start from: no step size"):
        resolve_phase(config("phase=ordered"), tmp_path)


def test_what_goes_on_keeps_its_phase(tmp_path, monkeypatch):
    fit(resolve_phase(config("recipe=ordered", "trainer.max_epochs=1"), tmp_path), tmp_path)
    monkeypatch.setattr(module, "HMC", None)
    start = tmp_path / "checkpoints" / "best_ess.ckpt"
    for names in (["resume=true"], [f"init_from={start}"]):
        found = resolve_phase(config(*names), tmp_path)
        assert (found["phase"], found["prior"]["shift"]) == ("ordered", 0.5)
        assert (found["symmetrize"], found["arch"]["equivariant"]) == (True, False)
    assert fit(resolve_phase(config("resume=true"), tmp_path), tmp_path)["epochs"] == 2


def test_weights_of_another_phase(tmp_path):
    fit(config("phase=symmetric", "trainer.max_epochs=1"), tmp_path)
    start = tmp_path / "checkpoints" / "best_ess.ckpt"
    for names in (["resume=true"], [f"init_from={start}"]):
        with pytest.raises(ConfigError, match=r"phase=ordered: the weights of .* symmetric phase"):
            resolve_phase(config("phase=ordered", *names), tmp_path)
        assert resolve_phase(config(*names), tmp_path)["phase"] == "symmetric"
    with pytest.raises(CheckpointError, match="init_from: ckpt_path=none: no such file"):
        resolve_phase(config("init_from=none"), tmp_path)
