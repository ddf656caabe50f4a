"""The commands from HMC to a flow that learns from its configurations and is judged by them."""

import csv
import json

import pytest
import torch

from flowlat.training.callbacks import Evaluation

LATTICE = "lattice.shape=[4,4]"
TINY = (LATTICE, "arch=combconv_k1", "arch.n_couplings=2", "trainer=cpu")
SHORT = ("trainer.limit_train_batches=5", "trainer.max_epochs=4", "evaluation.n_samples=64")


@pytest.fixture
def hmc(command):
    """The folder of an HMC run, relative to where the commands run."""
    names = ("sampler=hmc", LATTICE, "n_samples=400", "sampler.replicas=8")
    assert command("sample.py", *names, "hydra.run.dir=hmc").returncode == 0
    return "hmc"


def rows_of(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


@pytest.mark.parametrize("objective", ["mixture", "forward_kl"])
def test_resume_is_the_uninterrupted_run(objective, hmc, command, tmp_path, monkeypatch):
    """The first attempt dies in its third epoch."""
    ensembles = (f"objective.ensemble={hmc}", f"evaluation.ensemble={hmc}")
    names = (*TINY, *SHORT, f"objective={objective}", *ensembles)
    done = command("train.py", *names, "hydra.run.dir=whole")
    assert done.returncode == 0, done.stderr
    assert "forward ESS" in done.stdout
    evaluate = Evaluation.on_train_epoch_end

    def power_cut(self, trainer, module):
        if trainer.current_epoch == 2:
            raise MemoryError
        evaluate(self, trainer, module)

    with monkeypatch.context() as patch:
        patch.setattr(Evaluation, "on_train_epoch_end", power_cut)
        assert command("train.py", *names, "hydra.run.dir=part").returncode == 2
    done = command("train.py", *names, "resume=true", "hydra.run.dir=part")
    assert done.returncode == 0, done.stderr
    whole, part = (
        torch.load(tmp_path / run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in ("whole", "part")
    )
    assert whole.keys() == part.keys()
    assert all(torch.equal(whole[name], part[name]) for name in whole)
    rows = rows_of(tmp_path / "whole")
    assert rows == rows_of(tmp_path / "part")
    assert [int(row["samples"]) for row in rows] == [160, 320, 480, 640]
    assert all(0 < float(row["forward_ess"]) <= 1 for row in rows)
    summary = json.loads((tmp_path / "whole" / "summary.json").read_text())
    assert 0 < summary["forward_ess"] <= 1


@pytest.mark.parametrize("key", ["objective", "evaluation"])
def test_an_ensemble_of_another_theory(key, hmc, command, tmp_path):
    objective = ["objective=mixture"] if key == "objective" else []
    names = [*TINY, *objective, f"{key}.ensemble={hmc}", "action.lam=7", "hydra.run.dir=bad"]
    done = command("train.py", *names)
    assert done.returncode == 2
    text = f"error: {key}.ensemble: {hmc}: of another theory, action.lam=8.0 and not 7"
    assert text in done.stderr.splitlines()
    assert not (tmp_path / "bad").exists()
