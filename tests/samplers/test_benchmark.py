"""The benchmarks of chains in their smallest form; the loop of one is the same dynamics as ours."""

import json

import pytest
import torch

from benchmarks import chains, hmc
from flowlat.actions import Phi4


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


def test_chains_in_its_smallest_form(tmp_path):
    output = tmp_path / "chains.json"
    options = ["--cases", "d2_L8", "--updates", "25", "--thermalization", "20"]
    rows = chains.main([*options, "--output", str(output)])
    assert [row["sampler"] for row in rows] == ["hmc", "cluster"]
    assert json.loads(output.read_text())["rows"][1]["case"] == "d2_L8"
    for row in rows:
        assert min(row["tau_int"]) > 0
        assert row["slowest_per_second"] <= row["chi2_per_second"]
