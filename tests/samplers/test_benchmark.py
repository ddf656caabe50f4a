"""The benchmarks of chains in their smallest form; the loop of one is the same dynamics as ours."""

import json
import math

import pytest
import torch

from benchmarks import hmc
from benchmarks.samplers import __main__ as samplers
from benchmarks.samplers import contenders, flows, measure, points, table
from flowlat import compose
from flowlat.actions import Phi4
from flowlat.samplers import Metropolis

NO_FLOW = ("hmc", "mclmc", "cluster", "annealed")


def test_hmc_in_its_smallest_form(tmp_path):
    output = tmp_path / "hmc.json"
    hmc.main(["--cases", "d2_L8", "--replicas", "2", "--rounds", "1", "--output", str(output)])
    rows = json.loads(output.read_text())["rows"]
    assert [row["contender"] for row in rows] == ["loop", "batch of 2, PyTorch", "batch of 2"]
    assert all(row["updates_per_second"] > 0 for row in rows)
    assert rows[0]["ratio"] == 1
    assert [row["to_pytorch"] is not None for row in rows] == [False, False, True]


@pytest.mark.parametrize("shape", hmc.CASES.values())
def test_the_loop_is_the_same_theory(shape):
    phi = torch.randn(shape, dtype=torch.float64)
    action = Phi4(hmc.M2, hmc.LAM)
    torch.testing.assert_close(hmc.loop_action(phi), action(phi.unsqueeze(0))[0])
    torch.testing.assert_close(hmc.loop_force(phi), action.force(phi.unsqueeze(0))[0])


def test_the_loop_moves_and_is_accepted():
    torch.manual_seed(0)
    phi = 0.5 * torch.randn(8, 8, dtype=torch.float64)
    moved = [hmc.loop_trajectory(phi) for _ in range(20)]
    assert sum(not torch.equal(new, phi) for new in moved) > 10


def test_samplers_in_its_smallest_form(tmp_path):
    """All of them take part, on 8^2; a second call finds the point in the file."""
    output = tmp_path / "samplers.json"
    small = ["--points", "2d_L8", "--seconds", "0.3", "--thermalization", "20"]
    rows = samplers.main([*small, "--output", str(output)])
    assert json.loads(output.read_text())["rows"] == json.loads(json.dumps(rows))
    assert {row["sampler"] for row in rows} == {*NO_FLOW, *measure.WITH_FLOW}
    assert json.loads(json.dumps(rows)) == samplers.main([*small, "--output", str(output)])
    for row in rows:
        assert row["per_second"] > 0
        assert ("training_seconds" in row) == (row["sampler"] in measure.WITH_FLOW)
        assert ("log_z_cost" in row) == (row["sampler"] in ("metropolis", "annealed"))
    text = table.markdown(rows)
    assert text.count("| 2d_L8 |") == len(rows) + len(measure.WITH_FLOW)
    assert "**" in text


def test_flows_that_are_trained_at_the_point(tmp_path, monkeypatch):
    """And on half of its sides, into a folder; a second call takes them from there."""
    short = ["trainer.max_epochs=1", "trainer.limit_train_batches=3", "evaluation.n_samples=64"]
    monkeypatch.setattr(flows, "compose", lambda names: compose([*names, *short]))
    point = points.Point((4, 4), 8.0, trained=True)
    here, half = flows.trained_at("p", point, tmp_path)
    assert (here.origin, half.origin) == ("trained here", "trained at L/2")
    assert here.seconds > half.seconds > 0
    assert here.flow.lattice.shape == half.flow.lattice.shape == (4, 4)
    assert here.ess > 0.9  # they start from the weights of the family
    assert half.ess > 0.5
    monkeypatch.delattr(flows, "train")
    assert flows.trained_at("p", point, tmp_path)[0].ess == here.ess
    made = measure.contenders("p", point, 5, tmp_path)
    extra = ["metropolis, trained here", "latent_hmc, trained here", "latent_hmc, trained at L/2"]
    assert list(made) == [*NO_FLOW, *measure.WITH_FLOW, *extra]
    assert [made[name].known.ess for name in extra] == [here.ess, here.ess, half.ess]
    assert isinstance(made[extra[0]].make(), Metropolis)


def test_what_is_measured():
    """A plane wave and a constant, by hand: M = 2, C(L/2) = 4 - 9/2, |sum phi exp(ikx)|^2 / V."""
    wave = 3 * torch.cos(2 * torch.pi * torch.arange(8) / 8).double()
    phi = (2 + wave).expand(1, 4, 8)
    found = dict(zip(contenders.OBSERVABLES, contenders.measured(phi)[:, 0].tolist(), strict=True))
    assert found == pytest.approx(
        {
            "abs_magnetization": 2,
            "chi2": 32 * 4,
            "phi2": 4 + 4.5,
            "two_point_half": 4 * (4 - 4.5),
            "structure_factor": (4 * 3 * 4) ** 2 / 32,
        }
    )


def test_what_takes_no_part_says_why():
    left_out = {"point": "p", "lam": 8.0, "sampler": "x", "line": True, "reason": "no flow"}
    header, _, line = table.rates([left_out]).splitlines()
    assert header.replace("\\|", "").count("|") == line.count("|")
    assert "| no flow |" in line
    assert table.exponents([left_out]) == ""


def test_an_exponent_is_found():
    """tau = 3 xi^1.5, errors of 5 per cent: within them; and scaled where there is no power."""
    xi = [4.0, 8.0, 16.0, 32.0]
    z, error = table.exponent(xi, [3 * x**1.5 for x in xi], [0.05] * 4)
    assert z == pytest.approx(1.5)
    # of least squares by hand: sigma over the spread of log xi
    spread = sum((math.log(x) - math.log(math.sqrt(128))) ** 2 for x in xi) ** 0.5
    assert error == pytest.approx(0.05 / spread)
    assert table.exponent(xi, [1.0, 8.0, 1.0, 8.0], [0.05] * 4)[1] > 5 * error


def test_a_break_even_is_where_the_times_are_equal():
    """100 s of training against 0.01 - 0.002 s gained a sample."""
    point = {"point": "p", "sampler": "x"}
    rows = [
        {**point, "per_second": 100.0},
        {**point, "per_second": 500.0, "training_seconds": 100.0, "flow": "f"},
        {**point, "per_second": 50.0, "training_seconds": 100.0, "flow": "f"},
    ]
    *_, better, worse = table.trainings(rows).splitlines()
    assert "| f |" in better
    assert better.endswith("| 1.2e+04 |")
    assert worse.endswith("| never |")
