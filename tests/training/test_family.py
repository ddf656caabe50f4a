"""One training for many theories: what it draws, what it leaves, how it goes on."""

import csv
import json
import logging
from types import SimpleNamespace

import pytest
import torch

from flowlat import compose, load_family, load_flow
from flowlat.actions import Phi4
from flowlat.config.checkpoint import read_checkpoint
from flowlat.config.compose import validate
from flowlat.config.schemas import TrainConfig
from flowlat.flows.ess_map import map_of
from flowlat.lattice import Lattice
from flowlat.runs.console import fit_report
from flowlat.training.build import build_module
from flowlat.training.data import PriorDataModule
from flowlat.training.fit import fit
from flowlat.utils.errors import CheckpointError, ConfigError
from tests.flows.test_family import family_of
from tests.support.trainings import TINY, assert_same, everything, without_power

#: three points, two lattices, and couplings of two layers
NAMES = (
    "family=phi4_2d",
    *("family.shapes=[[4,4],[4,6]]", "family.points=[2,2]", "family.degrees=[1,2]"),
    "evaluation.every_n_epochs=1",
    *(name for name in TINY if not name.startswith("lattice")),
)


def config(*names):
    return validate(compose([*NAMES, *names]), TrainConfig)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("family")
    return folder, fit(config(), folder)


def test_what_a_training_leaves(trained):
    folder, summary = trained
    with (folder / "map.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 8
    assert [int(row["epoch"]) for row in rows] == [0] * 8 + [1] * 8
    assert {row["shape"] for row in rows} == {"4x4", "4x6"}
    assert (folder / "map.png").stat().st_size > 10_000
    saved = json.loads((folder / "summary.json").read_text())
    assert len(saved["map"]) == 8
    ess = sorted(row["ess"] for row in saved["map"])
    assert saved["least_ess"] == ess[0]
    # between the first and the second of eight
    assert saved["ess"] == pytest.approx(ess[0] + 0.7 * (ess[1] - ess[0]))
    assert {"log_z", "log_z_err", "acceptance"} <= saved["map"][0].keys()
    report = fit_report(summary)
    assert "at each of 8 points" in report
    assert "log Z" not in report
    assert "lattice=2d lattice.shape=[4,4] action.m2=-6.4 action.lam=" in report


def test_the_map_is_that_of_the_family_in_the_checkpoint(trained):
    folder, summary = trained
    content = read_checkpoint(folder / "checkpoints" / "best_ess.ckpt")
    known, family = map_of(content, 2), load_family(folder / "checkpoints" / "best_ess.ckpt")
    assert [tuple(row[3:]) for row in known.rows.tolist()] == [(4, 4)] * 4 + [(4, 6)] * 4
    for point, row in zip(family.domain.held_out(), known.rows.tolist(), strict=True):
        assert row[:2] == pytest.approx(point[:2])
        flow = family.at(*point[:2], Lattice(point.shape))
        phi, log_q = flow.sample(20_000, torch.Generator().manual_seed(1))
        w = (-Phi4(*point[:2])(phi) - log_q).double().softmax(0)
        # of 32 samples, against the true one: within a factor that small samples may miss it by
        assert 1 / (w.square().sum() * 20_000) < 2 * row[2] + 0.1
    assert len(summary["map"]) == len(known.rows)


@pytest.mark.parametrize("n", [1, 4, 9])
def test_a_training_that_is_cut_short_goes_on_to_the_last_bit(n, trained, tmp_path, monkeypatch):
    assert without_power(monkeypatch, n, [], tmp_path, make=config)
    fit(config("resume=true"), tmp_path)
    assert_same(everything(tmp_path), everything(trained[0]))
    assert (tmp_path / "map.csv").read_text() == (trained[0] / "map.csv").read_text()


def test_the_start_says_of_how_many_points_and_samples_the_figures_are(tmp_path, caplog):
    caplog.set_level(logging.INFO, "flowlat.training")
    fit(config("trainer.max_epochs=1", "evaluation.n_samples=48"), tmp_path)
    (line,) = [text for text in caplog.messages if text.startswith("ESS and acceptance")]
    points = len((tmp_path / "map.csv").read_text().splitlines()) - 1
    assert f"nine tenths of {points} points have more, of 48 fresh samples each" in line


def test_another_domain_is_another_training(trained):
    with pytest.raises(CheckpointError, match=r"family\.lam=.* has family\.lam="):
        fit(config("resume=true", "family.lam=[0.0,14.0]"), trained[0])


def drawing(rank=0, world_size=1, batch_size=6, seed=1):
    data = PriorDataModule(batch_size, seed)
    module = SimpleNamespace(flow=family_of(), device=torch.device("cpu"))
    data.trainer = SimpleNamespace(lightning_module=module, global_rank=rank, world_size=world_size)
    return data


def test_all_ranks_have_the_same_point_and_share_out_the_noise():
    alone, *shares = drawing(), *(drawing(rank, 2) for rank in range(2))
    shapes = set()
    for _ in range(12):
        noise, couplings = alone.on_after_batch_transfer(0, 0)
        parts = [share.on_after_batch_transfer(0, 0) for share in shares]
        assert torch.equal(torch.cat([part for part, _ in parts]), noise)
        assert all(torch.equal(c, couplings) for _, c in parts)
        shapes.add(noise.shape[1:])
    assert len(shapes) == 2  # one of two is missing with p = 2^-11


def test_points_are_a_function_of_seed_and_batch():
    data, again, other = drawing(), drawing(), drawing(seed=2)
    first = [data.on_after_batch_transfer(0, 0) for _ in range(5)]
    again.load_state_dict({"n_drawn": 3})
    assert_same(again.on_after_batch_transfer(0, 0), first[3])
    assert not torch.equal(other.on_after_batch_transfer(0, 0)[1], first[0][1])
    assert len({c[0].item() for _, c in first}) == 5


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["cuda_graphs=true"], "cuda_graphs=True: a graph keeps its couplings"),
        (["family.degrees=[99,1]"], r"family\.degrees\.0=99"),
        (["family.shapes=[[4,4],[9999,9999]]"], "more than"),
    ],
)
def test_what_a_family_cannot_be(names, line):
    with pytest.raises(ConfigError, match=line):
        build_module(config(*names), {})


def test_an_ensemble_is_of_one_theory(tmp_path):
    with pytest.raises(ConfigError, match=r"evaluation\.ensemble=any: of one theory"):
        fit(config("evaluation.ensemble=any"), tmp_path)


def test_one_flow_is_no_family_and_a_family_is_not_one_flow(trained, tmp_path):
    path = trained[0] / "checkpoints" / "last.ckpt"
    with pytest.raises(CheckpointError, match="a family of flows"):
        load_flow(path)
    names = [name for name in TINY if not name.startswith("trainer.max")]
    fit(validate(compose([*names, "trainer.max_epochs=1"]), TrainConfig), tmp_path)
    with pytest.raises(CheckpointError, match="one flow, and no family"):
        load_family(tmp_path / "checkpoints" / "last.ckpt")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("_target_", "os.system"),
        ("_target_", "flowlat.flows.Family"),
        ("shapes", [[4, 4], [99999, 99999]]),
        ("degrees", [3]),
        ("m2", ["${oc.env:HOME}", 1.0]),
        ("m2", [1.0, -1.0]),
    ],
)
def test_a_family_in_a_file_is_data(key, value, trained, tmp_path):
    content = torch.load(trained[0] / "checkpoints" / "last.ckpt", weights_only=True)
    content["flowlat"]["config"]["family"][key] = value
    torch.save(content, tmp_path / "edited.ckpt")
    with pytest.raises(CheckpointError) as caught:
        load_family(tmp_path / "edited.ckpt")
    assert "\n" not in str(caught.value)


def test_the_solver_of_a_family_takes_more_steps_where_it_is_stiff(tmp_path, monkeypatch):
    monkeypatch.setattr("flowlat.training.callbacks.solver.TOLERANCE", -1.0)
    names = [n for n in NAMES if not n.startswith("arch")]
    fit(validate(compose(names), TrainConfig), tmp_path)
    content = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    steps = [int(v) for k, v in content["state_dict"].items() if k.endswith("_extra_state")]
    assert steps == [6, 6]  # of eight batches two were looked at; of the family and its average
