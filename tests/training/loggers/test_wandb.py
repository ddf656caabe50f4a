"""What W&B is told, read back from the file of an offline run."""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from google.protobuf.message import DecodeError

from flowlat import compose
from flowlat.config.compose import validate
from flowlat.config.schemas import TrainConfig
from flowlat.training.fit import fit
from flowlat.training.loggers.wandb import PIXELS, Wandb, finish_wandb, image, sweep, title
from tests.support.helpers import wandb_records
from tests.support.run_folders import write_training
from tests.support.trainings import ROLLBACKS, TINY

METRICS = {"loss": -1.0, "ess": 0.5, "acceptance": 0.6, "log_z": 2.0, "samples_per_second": 1e3}


@pytest.fixture(autouse=True)
def silent(monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")


def logged(folder: Path, patience: float = 60.0) -> dict[str, list]:
    """The records of the one leg of a run in a folder by their kind."""
    (path,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    return records(path, patience)


def records(path: Path, patience: float = 60.0) -> dict[str, list]:
    """W&B's own process writes them, and may be behind."""
    end = time.monotonic() + patience
    while True:
        found: dict[str, list] = {}
        with suppress(DecodeError):  # of a record that is being written
            for record in wandb_records(path):
                kind = record.WhichOneof("record_type")
                found.setdefault(kind, []).append(getattr(record, kind))
        if "exit" in found or time.monotonic() > end:
            return found
        time.sleep(0.05)


def rows_of(found: dict[str, list]) -> list[dict]:
    """The rows of a run: name -> value."""
    return [
        {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in row.item}
        for row in found["history"]
    ]


def write_job(folder: Path, mode: str = "MULTIRUN", *overrides: str) -> Path:
    """What Hydra leaves in the folder of a job before it starts."""
    (folder / ".hydra").mkdir(parents=True)
    hydra = {"mode": mode, "overrides": {"task": list(overrides)}}
    (folder / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
    return folder


def test_panels_against_samples_and_epochs(tmp_path):
    logger = Wandb(str(tmp_path), project="flowlat", offline=True)
    for epoch in range(2):
        clock = {"epoch": float(epoch), "samples": 640.0 * (epoch + 1)}
        logger.log_evaluation(torch.randn(100), torch.randn(4, 6), step=10 * (epoch + 1))
        logger.log_metrics({**METRICS, **clock}, step=10 * (epoch + 1))
    finish_wandb(exit_code=0)
    found = logged(tmp_path)
    axes = {metric.name: metric for metric in found["metric"]}
    for name in METRICS:
        assert axes[name].step_metric == "samples"
        assert axes[f"epochs/{name}"].step_metric == "epoch"
    assert {name for name, metric in axes.items() if metric.summary.max} == {"ess", "acceptance"}
    rows = rows_of(found)  # one an epoch
    assert [row["samples"] for row in rows] == [640, 1280]
    assert [row["_step"] for row in rows] == [10, 20]
    for row in rows:
        assert {f"epochs/{name}": value for name, value in METRICS.items()}.items() <= row.items()
        assert sum(row["log_weight/values"]) == 100
        assert (row["configuration/height"], row["configuration/width"]) == (4 * PIXELS, 6 * PIXELS)
        (file,) = tmp_path.glob(f"wandb/offline-run-*/files/{row['configuration/path']}")
        assert file.stat().st_size > 0
    assert found["exit"][0].exit_code == 0


def test_no_image_beyond_two_dimensions_and_weights_that_vanish(tmp_path):
    logger = Wandb(str(tmp_path), project="flowlat", offline=True)
    log_weight = torch.tensor([0.0, 1.0, -torch.inf])
    logger.log_evaluation(log_weight, torch.randn(4, 4, 4), step=1)
    logger.finalize("failed")
    finish_wandb()
    found = logged(tmp_path)
    (row,) = found["history"]
    names = {"/".join(item.nested_key) or item.key for item in row.item}
    assert "log_weight/values" in names
    assert not any(name.startswith("configuration") for name in names)
    assert found["exit"][0].exit_code == 1


def test_the_jobs_of_a_sweep_are_one_group_tagged_by_their_overrides(tmp_path):
    sweep_folder, long = tmp_path / "2030-01-02" / "03-04-05", "arch.hidden=" + "8" * 80
    for number in (0, 1):
        overrides = ("arch=conv", f"seed={number}", long)
        folder = write_job(sweep_folder / str(number), "MULTIRUN", *overrides)
        Wandb(str(folder), project="flowlat", offline=True)
        finish_wandb(exit_code=0)
    runs = [logged(sweep_folder / str(number))["run"][0] for number in (0, 1)]
    assert [run.run_group for run in runs] == ["2030-01-02/03-04-05"] * 2
    assert [list(run.tags) for run in runs] == [
        ["arch=conv", f"seed={number}", long[:64]] for number in (0, 1)
    ]
    assert runs[0].run_id != runs[1].run_id


def test_a_run_of_its_own_has_no_group(tmp_path):
    assert sweep(tmp_path) == {}
    assert sweep(write_job(tmp_path / "run", "RUN", "seed=1")) == {}


def test_final_figures_and_alerts(tmp_path):
    logger = Wandb(str(tmp_path), project="flowlat", offline=True)
    logger.alert("log_z_fell", "epoch 3: log Z fell")
    warned = [{"code": "low_ess", "text": "ESS 0.05"}, {"code": "heavy_tail", "text": "k = 0.9"}]
    point = {"m2": -4.0, "lam": 5.3, "shape": (4, 4), "ess": 0.5}
    summary = {"ess": 0.05, "checkpoint": "c", "warnings": warned, "map": [point], "provenance": {}}
    logger.log_summary(summary)
    finish_wandb(exit_code=0)
    found = logged(tmp_path)
    assert [(alert.title, alert.level) for alert in found["alert"]] == [("log_z_fell", "WARN")]
    summary = {
        "/".join(item.nested_key) or item.key: json.loads(item.value_json)
        for record in found["summary"]
        for item in record.update
    }
    expected = {"final/ess": 0.05, "final/checkpoint": "c", "final/warnings": "ESS 0.05; k = 0.9"}
    assert expected.items() <= summary.items()
    assert not {"final/map", "final/provenance"} & summary.keys()
    (row,) = rows_of(found)
    assert (row["map/_type"], row["map/nrows"]) == ("table-file", 1)


def test_the_best_flow_as_an_artifact_if_it_is_wanted(tmp_path):
    (tmp_path / "best.ckpt").write_bytes(bytes(100))
    logger = Wandb(str(tmp_path), project="flowlat", offline=True, checkpoints=True)
    logger.log_summary({"ess": 0.9, "checkpoint": str(tmp_path / "best.ckpt"), "warnings": []})
    finish_wandb(exit_code=0)
    found = logged(tmp_path)
    assert "artifact" in found, list(found)
    (artifact,) = found["artifact"]
    assert artifact.type == "model"
    assert json.loads(artifact.metadata)["ess"] == 0.9


def test_the_name_of_a_run_says_what_it_trains(tmp_path):
    config = write_training(tmp_path / "a", [0.1]) / ".hydra" / "config.yaml"
    folder = write_job(tmp_path / "run", "RUN")
    config.rename(folder / ".hydra" / "config.yaml")
    assert title(folder) == {"name": "2-d 4x4, lam=8.0 m2=-4.0, seed None"}
    assert title(tmp_path) == {}
    for options in ({}, {"name": "mine"}):
        logger = Wandb(str(folder), project="flowlat", offline=True, **options)
        assert logger.experiment.name == options.get("name", "2-d 4x4, lam=8.0 m2=-4.0, seed None")
        finish_wandb(exit_code=0)


def test_a_run_that_an_error_left_open_is_ended(tmp_path):
    Wandb(str(tmp_path), project="flowlat", offline=True)
    wandb = sys.modules["wandb"]
    assert wandb.run is not None
    finish_wandb()
    assert wandb.run is None
    assert logged(tmp_path)["exit"][0].exit_code == 1
    finish_wandb()  # and nothing is to be done twice


def test_a_training_that_goes_on_is_the_same_run(tmp_path):
    """With the group, the tags and the panels; its steps grow on."""
    folder = write_job(tmp_path / "2030-01-02" / "03-04-05" / "0", "MULTIRUN", "seed=1")
    for steps in ((10, 20), (30,)):
        logger = Wandb(str(folder), project="flowlat", offline=True)
        for step in steps:
            logger.log_metrics({**METRICS, "epoch": step / 10, "samples": 64.0 * step}, step=step)
        logger.finalize("failed")
        finish_wandb()
        time.sleep(1.1)  # the name of a leg's folder has its second, which no program repeats
    paths = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))
    legs = [records(path) for path in paths]
    assert len(legs) == 2
    runs = [(r.run_id, r.run_group, list(r.tags)) for leg in legs for r in leg["run"]]
    assert len({str(run) for run in runs}) == 1
    assert runs[0][1:] == ("2030-01-02/03-04-05", ["seed=1"])
    assert [row["_step"] for leg in legs for row in rows_of(leg)] == [10, 20, 30]
    for leg in legs:
        assert "samples" in {metric.step_metric for metric in leg["metric"]}


def test_a_training_that_is_taken_back_is_one_run(tmp_path, recwarn):
    wandb = ("logger=wandb", "logger.wandb.offline=true", f"logger.wandb.save_dir={tmp_path}")
    fit(validate(compose([*TINY, *ROLLBACKS, *wandb]), TrainConfig), tmp_path)
    found = logged(tmp_path)
    rows = rows_of(found)
    assert [(row["_step"], row["epoch"]) for row in rows if "epoch" in row] == [(4, 0), (8, 1)]
    steps = [row["_step"] for row in rows if "train/gradient_norm" in row]
    assert steps == sorted(set(steps))
    assert {1, 2, 3, 4, 8} <= set(steps)
    assert {"train/loss", "train/gradient_norm"} <= rows[0].keys()
    assert found["exit"][0].exit_code == 0
    assert "final/ess" in {item.key for record in found["summary"] for item in record.update}
    assert not [w for w in recwarn if "already in progress" in str(w.message)]


def test_colours_are_symmetric_about_zero():
    phi = np.array([[0.0, 1.0], [-1.0, 0.0]])
    picture = image(phi)
    assert picture.shape == (2 * PIXELS, 2 * PIXELS, 3)
    zero, above, below = picture[0, 0], picture[0, -1], picture[-1, 0]
    assert zero.min() > 240  # white
    assert above[0] > above[2]  # red
    assert below[2] > below[0]  # blue
    assert np.array_equal(image(0 * phi)[0, 0], zero)
