"""Weights & Biases."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from matplotlib import colormaps
from omegaconf import OmegaConf
from torch import Tensor

from flowlat.report.page.header import couplings, lattice, named, node
from flowlat.runs.folders import read_config
from flowlat.training.loggers.server import require_server

#: what is drawn against the samples, and again, as "epochs/...", against the epoch
CURVES = ("loss", "ess", "pareto_k", "acceptance", "log_z", "forward_ess", "samples_per_second")
#: those whose maximum is what a run is worth
BEST = ("ess", "acceptance")
#: characters of a tag and of a group that W&B accepts
TAG, GROUP = 64, 128
#: pixels of an image to a side of a site
PIXELS = 24


class Wandb(WandbLogger):
    """A W&B run, with panels that need no setting up.

    Loss, ESS, acceptance, log Z and throughput against the samples drawn and against the epoch;
    of every evaluation the histogram of the log weights and, in two dimensions, a configuration.
    The summary holds the maximum of ESS and acceptance, and as "final/..." what the training
    reached on fresh samples, with what cannot be trusted of it. What a training loses again is an
    alert. The jobs of a multirun are one group, the date and time of its folder, each with its
    overrides as tags.

    Within an epoch, every ``trainer.log_every_n_steps`` steps, ``train/loss`` and
    ``train/gradient_norm`` before it is clipped. Of a family its map, as a table and a picture.

    A run folder is one W&B run: a training that is resumed, or taken back after a divergence, goes
    on with it. Rows are at the step of the training, so that the steps of a run grow over all its
    legs. Unless ``name`` is given it says lattice, couplings, architecture and seed.

    ``checkpoints``: the best flow of the training as an artifact, at its end.

    ``offline`` needs neither an account nor a network; ``wandb sync`` sends the run later.
    Further options go to ``wandb.init``.
    """

    def __init__(
        self, save_dir: str, project: str, offline: bool, checkpoints: bool = False, **options: Any
    ):
        if not offline:
            require_server()
        # wandb falls back to a temporary folder if its own is not there
        folder = Path(save_dir)
        folder.mkdir(parents=True, exist_ok=True)
        settings = {"project": project, "offline": offline, **sweep(folder), **title(folder)}
        if earlier := next(folder.glob("wandb/*run-*/run-*.wandb"), None):  # leg of this training
            settings["id"] = earlier.stem.removeprefix("run-")
        settings |= options
        super().__init__(save_dir=save_dir, experiment=open_run(), log_model=False, **settings)
        # Lightning passes it on, unset: at every start W&B says that it has no effect any more
        self._wandb_init.pop("anonymous", None)
        self.checkpoints = checkpoints
        for name in CURVES:
            best = "max" if name in BEST else None
            self.experiment.define_metric(name, step_metric="samples", summary=best)
            # no second column in the table of the runs
            self.experiment.define_metric(f"epochs/{name}", step_metric="epoch", summary="none")

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        again = {f"epochs/{name}": metrics[name] for name in CURVES if name in metrics}
        row = {**metrics, **again, "trainer/global_step": step}
        # not W&B's own count of rows, which begins anew in an offline run that goes on
        self.experiment.log(row, step=step)

    @rank_zero_only
    def log_step(self, figures: dict[str, float], step: int) -> None:
        """Figures of a step, as ``train/...``; not those that a divergence has taken back."""
        if step > self.experiment.step:
            self.experiment.log({f"train/{k}": value for k, value in figures.items()}, step=step)

    @rank_zero_only
    def log_evaluation(self, log_weight: Tensor, phi: Tensor, step: int) -> None:
        """The log weights ``(n,)`` and a configuration ``(*shape)`` of an evaluation."""
        import wandb

        finite = log_weight[log_weight.isfinite()].cpu().numpy()
        row: dict[str, Any] = {"log_weight": wandb.Histogram(finite - finite.mean())}
        if phi.ndim == 2:
            caption = f"|phi| up to {phi.abs().max().item():.3g}, lattice units"
            row["configuration"] = wandb.Image(image(phi.cpu().numpy()), caption=caption)
        self.experiment.log(row, step=step)

    @rank_zero_only
    def alert(self, title: str, text: str) -> None:
        """Send an alert, which W&B passes on by e-mail or Slack as its user wishes."""
        self.experiment.alert(title=title, text=text, level="WARN")

    @rank_zero_only
    def log_summary(self, summary: dict[str, Any]) -> None:
        """What a training reached, the keys of its summary.json; a family's map; the best flow."""
        import wandb

        warnings = "; ".join(warning["text"] for warning in summary["warnings"])
        final = {k: v for k, v in summary.items() if k not in ("map", "provenance")}
        final["warnings"] = warnings
        self.experiment.summary.update({f"final/{name}": value for name, value in final.items()})
        if points := summary.get("map"):
            cells = [[str(x) if k == "shape" else x for k, x in p.items()] for p in points]
            row: dict[str, Any] = {"map": wandb.Table(columns=[*points[0]], data=cells)}
            if (picture := Path(self.save_dir or "", "map.png")).exists():
                row["map_picture"] = wandb.Image(str(picture))
            self.experiment.log(row)
        if self.checkpoints:
            metadata = {name: summary.get(name) for name in ("ess", "acceptance", "phase")}
            artifact = wandb.Artifact(f"flow-{self.experiment.id}", "model", metadata=metadata)
            artifact.add_file(summary["checkpoint"])
            self.experiment.log_artifact(artifact)

    def finalize(self, status: str) -> None:
        """The run stays open, for a rollback or for the summary, until ``finish_wandb``."""


def open_run() -> Any:
    """The W&B run of this process that has not ended, if there is one."""
    wandb: Any = sys.modules.get("wandb")
    return wandb and wandb.run


def finish_wandb(exit_code: int = 1) -> None:
    """End the run that is open, if any: the next job of a sweep would go on with it."""
    if (run := open_run()) is not None:
        run.finish(exit_code=exit_code)


def sweep(folder: Path) -> dict[str, Any]:
    """Group and tags of a run whose folder is that of a job of a multirun; else none."""
    path = folder / ".hydra" / "hydra.yaml"
    if not path.exists() or (hydra := OmegaConf.load(path).hydra).mode != "MULTIRUN":
        return {}
    tags = [override[:TAG] for override in hydra.overrides.task]
    return {"group": "/".join(folder.parent.parts[-2:])[-GROUP:], "tags": tags}


def title(folder: Path) -> dict[str, str]:
    """The name of a run, of its config: 2-d 8x8, m2=-4.0 lam=8.0, continuous, seed 0."""
    config = read_config(folder)
    if not config:
        return {}
    theory = couplings({k: v for k, v in node(config, "action").items() if k != "_target_"})
    shape, seed = node(config, "lattice").get("shape"), f"seed {config.get('seed')}"
    arch = named(node(config, "arch"))
    family = "family" if node(config, "family") else ""
    return {"name": ", ".join(filter(None, (lattice(shape), theory, arch, family, seed)))}


def image(phi: np.ndarray) -> np.ndarray:
    """A square a site, blue below zero and red above: ``(rows, columns, 3)``, 8 bits."""
    colours = colormaps["RdBu_r"](0.5 + 0.5 * phi / (np.abs(phi).max() or 1.0))[..., :3]
    return (255 * colours).astype(np.uint8).repeat(PIXELS, axis=0).repeat(PIXELS, axis=1)
