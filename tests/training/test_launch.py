"""Training on two processes is training on one, whoever starts them."""

import csv
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from lightning.pytorch import Callback
from torch import Tensor

from flowlat import compose
from flowlat.config.build import instantiate
from flowlat.config.compose import validate
from flowlat.config.schemas import TrainConfig
from flowlat.runs.ranks.processes import environment, spawn_ranks
from flowlat.training.build import build_data, build_module
from flowlat.training.launch import quiet, train
from flowlat.utils.errors import ConfigError
from tests.support.forked import Command, fork_ranks
from tests.support.helpers import ROOT

SMALL = ("lattice.shape=[2,4]", "trainer.precision=64", "threads=1")
COUPLINGS = ("arch.n_couplings=2", "arch.identity_start=false")
#: every objective and arrangement of densities whose gradient has terms of its own
VARIANTS = (
    ["arch=combconv_k1", *COUPLINGS],
    ["arch=conv", *COUPLINGS, "objective=reverse_kl", "ema_decay=null"],
    ["arch=conv", *COUPLINGS, "symmetrize=true", "trainer.gradient_clip_val=1e-3"],
    ["arch=continuous", "prior=potential"],
)


class Keep(Callback):
    """The gradients as they come from the ranks, and as they are clipped."""

    def __init__(self) -> None:
        self.kept: list[Tensor] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self._keep(pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self._keep(pl_module)

    def _keep(self, module: Any) -> None:
        self.kept.append(torch.cat([p.grad.flatten() for p in module.flow.parameters()]))


def first_step(trainer_name: str) -> list[dict[str, np.ndarray]]:
    """Gradients and averaged weights of one step, for every variant."""
    found = []
    for variant in VARIANTS:
        names = [*SMALL, *variant, f"trainer={trainer_name}"]
        config = validate(compose([*names, "trainer.max_epochs=1"]), TrainConfig)
        config["trainer"]["limit_train_batches"] = 1
        keep, module = Keep(), build_module(config, {}).double()
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        plugins = environment()
        trainer = instantiate(config, "trainer", callbacks=[keep], plugins=plugins, **quiet)
        trainer.fit(module, datamodule=build_data(config))
        raw, clipped = keep.kept
        average = torch.cat([p.detach().flatten() for p in module.best_flow.parameters()])
        parts = {"gradient": raw, "clipped": clipped, "average": average}
        found.append({name: values.numpy() for name, values in parts.items()})
    return found


@pytest.mark.filterwarnings("ignore")
def test_gradient_of_two_ranks_is_that_of_one(monkeypatch):
    """In float64: the mean over both halves of a batch is the mean over the batch."""
    fork_ranks(monkeypatch)
    alone, together = first_step("cpu"), spawn_ranks(2, first_step, "ddp_cpu")
    for one, two in zip(alone, together, strict=True):
        assert np.linalg.norm(one["gradient"]) > 1e-3
        for name in one:
            # Adam makes steps of 1e-12 out of gradients that are zero but for rounding
            atol = 1e-10 if name == "average" else 1e-13
            np.testing.assert_allclose(two[name], one[name], rtol=1e-10, atol=atol)
    limited = alone[2]
    assert np.linalg.norm(limited["clipped"]) == pytest.approx(1e-3, rel=1e-3)
    assert np.linalg.norm(limited["gradient"]) > 1e-2


#: constant rate: a run of one epoch is the first half of a run of two
RUN = (
    *("lattice.shape=[4,4]", "arch=combconv_k1", "arch.n_couplings=2", "threads=1"),
    *("trainer.limit_train_batches=5", "trainer.precision=64", "scheduler=constant"),
    # batches that two ranks cannot share out evenly
    *("evaluation.n_samples=250", "evaluation.batch_size=100"),
)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights_of(folder: Path) -> dict[str, Tensor]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A multirun over one rank and two, with W&B; and what it printed."""
    folder = tmp_path_factory.mktemp("launch")
    wandb = ("logger=wandb", "logger.wandb.offline=true")
    names = (*RUN, "trainer=cpu,ddp_cpu", "trainer.max_epochs=2", *wandb, "hydra.sweep.dir=sweep")
    done = Command(folder, "train.py", "-m", *names, WANDB_SILENT="true").wait()
    return folder / "sweep", done.stdout, done.stderr


def test_two_ranks_in_a_sweep_are_one_run(sweep):
    folder, out, err = sweep
    assert out.count("Reached, on 250 fresh samples:") == 2, err
    assert "Warning" not in err
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"0", "1"}
    names = [{path.name for path in (folder / job).rglob("*.ckpt")} for job in "01"]
    assert names[0] == names[1]
    assert len(list((folder / "1" / "wandb").glob("offline-run-*"))) == 1
    assert (folder / "1" / "train.log").read_text().count("stencil kernel") == 1


def test_figures_of_two_ranks_are_those_of_one(sweep):
    """The same samples in the same order: even the chain takes the same decisions."""
    folder, _, _ = sweep
    one, two = rows_of(folder / "0"), rows_of(folder / "1")
    assert len(one) == len(two) == 2
    for a, b in zip(one, two, strict=True):
        for name in ("loss", "ess", "log_z", "log_z_err", "lr"):
            assert float(b[name]) == pytest.approx(float(a[name]), rel=1e-7), name
        assert a["acceptance"] == b["acceptance"]
        assert a["samples"] == b["samples"]


def test_torchrun_and_slurm_go_on_with_one_run(sweep, tmp_path):
    """An epoch started by torchrun, the second by srun: bit for bit the two ranks of the sweep."""
    names = [str(ROOT / "train.py"), *RUN, "trainer=ddp_cpu", "hydra.run.dir=run"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
    port = f"--master_port={find_free_network_port()}"
    command = [*torchrun, port, *names, "trainer.max_epochs=1"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("Reached") == 1

    slurm = {
        **{"SLURM_JOB_ID": "1", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"},
        **{"SLURM_NNODES": "1", "SLURM_NODEID": "0", "SLURM_NODELIST": "127.0.0.1"},
        "MASTER_PORT": str(find_free_network_port()),
    }
    names += ["trainer.max_epochs=2", "resume=true"]
    tasks = [
        Command(tmp_path, *names, **slurm, SLURM_PROCID=rank, SLURM_LOCALID=rank) for rank in "01"
    ]
    zero, one = [task.wait() for task in tasks]
    assert (zero.returncode, one.returncode) == (0, 0), (zero, one)
    assert "Reached" in zero.stdout
    assert one.stdout + one.stderr == ""
    assert {path.name for path in tmp_path.iterdir()} == {"run"}

    expected = weights_of(sweep[0] / "1")
    found = weights_of(tmp_path / "run")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    timeless = [
        [
            {k: v for k, v in row.items() if not k.startswith(("seconds", "samples_per"))}
            for row in r
        ]
        for r in (rows_of(tmp_path / "run"), rows_of(sweep[0] / "1"))
    ]
    assert timeless[0] == timeless[1]


@pytest.mark.parametrize(
    ("names", "environ", "text"),
    [
        (["trainer.num_nodes=2"], {}, "trainer.num_nodes=2: start it with torchrun or srun"),
        (["arch.batch_norm=true"], {}, r"arch.batch_norm=True: .*trainer.sync_batchnorm"),
        (
            [],
            {f"SLURM_{name}": "0" for name in ("NODEID", "PROCID", "LOCALID")}
            | {f"SLURM_{name}": "3" for name in ("NTASKS", "NTASKS_PER_NODE")},
            "trainer.devices=2, trainer.num_nodes=1: 3 processes were started",
        ),
    ],
)
def test_devices_that_cannot_train(names, environ, text, tmp_path, monkeypatch):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    config = validate(compose([*RUN, "trainer=ddp_cpu", *names]), TrainConfig)
    with pytest.raises(ConfigError, match=text):
        train(config, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_separate_processes_need_a_folder_in_common(command, monkeypatch, tmp_path):
    for name in ("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE"):
        monkeypatch.setenv(name, "2")
    done = command("train.py", *RUN, "trainer=ddp_cpu")
    assert done.returncode == 2
    assert done.stderr.startswith("error: hydra.run.dir: torchrun and srun need it")
    assert list(tmp_path.iterdir()) == []


def test_quiet_is_over_when_it_ends():
    """Lightning's loggers: of what it tells at every start nothing within, and as before after."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    before = [logger.level for logger in loggers]
    with quiet():
        assert not any(logger.isEnabledFor(logging.INFO) for logger in loggers)
        assert all(logger.isEnabledFor(logging.WARNING) for logger in loggers)
    assert [logger.level for logger in loggers] == before
