import logging

import pytest
import torch

from flowlat import build_flow, compose
from flowlat.bijections.continuous import solvers_of
from flowlat.config.compose import validate
from flowlat.config.schemas import TrainConfig
from flowlat.training.callbacks.solver import inverse_error
from flowlat.training.fit import fit
from tests.support.trainings import TINY


def config():
    names = [name for name in TINY if "arch" not in name]
    return validate(compose(names), TrainConfig)


def stiff(flow, factor):
    """A velocity so many times as fast as a trained one."""
    generator = torch.Generator().manual_seed(1)
    (solver,) = solvers_of(flow)
    with torch.no_grad():
        solver.coefficients += factor * torch.randn(solver.coefficients.shape, generator=generator)
    return flow


def test_the_inverse_of_a_stiff_flow_is_not_its_inverse():
    flow = build_flow(compose(["lattice.shape=[4,4]"])).train()
    noise = flow.noise(16, torch.Generator().manual_seed(0))
    assert inverse_error(stiff(flow, 0.1), noise) < 1e-2
    assert inverse_error(stiff(flow, 5), noise) > 1
    (solver,) = solvers_of(flow)
    solver.n_steps = 64
    assert inverse_error(flow, noise) < 0.1


def test_steps_are_taken_where_they_are_needed(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    fit(config(), tmp_path / "easy")
    assert "becomes stiff" not in caplog.text
    monkeypatch.setattr("flowlat.training.callbacks.solver.TOLERANCE", -1.0)
    fit(config(), tmp_path / "stiff")
    assert caplog.text.count("becomes stiff: 5 Runge-Kutta steps") == 1
    content = torch.load(tmp_path / "stiff" / "checkpoints" / "last.ckpt", weights_only=True)
    steps = [v for k, v in content["state_dict"].items() if k.endswith("_extra_state")]
    assert steps == [6, 6]  # of eight batches two were looked at; of the flow and its average


def test_rounding_is_not_stiff():
    """Of a density as large as that of a million sites, in single precision."""

    class Rounded(torch.nn.Module):
        def forward(self, noise):
            return noise, noise.sum(1) - 1e6

        def log_prob(self, phi):
            return phi.sum(1) - 1e6 + 0.25

    noise = torch.zeros(16, 4)
    assert inverse_error(Rounded(), noise) == 0
    assert inverse_error(Rounded().double(), noise.double()) == pytest.approx(0.25, rel=1e-6)
    noise[0] = torch.nan
    assert inverse_error(Rounded(), noise) == 0


def test_steps_of_the_config_and_of_the_weights():
    state = build_flow(compose(["lattice.shape=[4,4]", "arch.n_steps=6"])).state_dict()
    for asked, taken in ((4, 6), (12, 12)):
        flow = build_flow(compose(["lattice.shape=[4,4]", f"arch.n_steps={asked}"]))
        flow.load_state_dict(state)
        assert solvers_of(flow)[0].n_steps == taken


@pytest.mark.parametrize("n", [0, -1, 10**9])
def test_steps_that_no_training_takes(n):
    flow = build_flow(compose(["lattice.shape=[4,4]"]))
    state = flow.state_dict()
    (key,) = (key for key in state if key.endswith("_extra_state"))
    with pytest.raises(RuntimeError, match="n_steps"):
        flow.load_state_dict({**state, key: torch.tensor(n)})
    with pytest.raises(RuntimeError, match="n_steps"):
        flow.load_state_dict({**state, key: torch.ones(2)})
    del state[key]  # as in files of 0.1
    flow.load_state_dict(state)
    assert solvers_of(flow)[0].n_steps == 4
