"""The benchmarks of chains in their smallest form; the loop of one is the same dynamics as ours."""

import json
import math

import pytest
import torch

from benchmarks import hmc
from benchmarks.samplers import __main__ as samplers
from benchmarks.samplers import contenders, measure, table
from flowlat.actions import Phi4

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
    point = {"point": "p", "sampler": "x", "inside_domain": False}
    rows = [
        {**point, "per_second": 100.0},
        {**point, "per_second": 500.0, "training_seconds": 100.0, "family": "f"},
        {**point, "per_second": 50.0, "training_seconds": 100.0, "family": "f"},
    ]
    *_, better, worse = table.trainings(rows).splitlines()
    assert "| f, beyond its domain |" in better
    assert better.endswith("| 1.2e+04 |")
    assert worse.endswith("| never |")
