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

from flowlat.loggers.server import require_server

#: what is drawn against the samples, and again, as "epochs/...", against the epoch
CURVES = ("loss", "ess", "acceptance", "log_z", "forward_ess", "samples_per_second")
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
    The summary holds the maximum of ESS and acceptance. The jobs of a multirun are one group, the
    date and time of its folder, each with its overrides as tags.

    ``offline`` needs neither an account nor a network; ``wandb sync`` sends the run later.
    Further options go to ``wandb.init``.
    """

    def __init__(self, save_dir: str, project: str, offline: bool, **options: Any):
        if not offline:
            require_server()
        # wandb falls back to a temporary folder if its own is not there
        Path(save_dir).mkdir(parents=True, exist_ok=True)
        settings = {"project": project, "offline": offline, **sweep(Path(save_dir)), **options}
        super().__init__(save_dir=save_dir, log_model=False, **settings)
        for name in CURVES:
            best = {"summary": "max"} if name in BEST else {}
            self.experiment.define_metric(name, step_metric="samples", **best)
            # no second column in the table of the runs
            self.experiment.define_metric(f"epochs/{name}", step_metric="epoch", summary="none")

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        again = {f"epochs/{name}": metrics[name] for name in CURVES if name in metrics}
        super().log_metrics({**metrics, **again}, step)

    @rank_zero_only
    def log_evaluation(self, log_weight: Tensor, phi: Tensor, step: int) -> None:
        """The log weights ``(n,)`` and a configuration ``(*shape)`` of an evaluation."""
        import wandb

        finite = log_weight[log_weight.isfinite()].cpu().numpy()
        row: dict[str, Any] = {"log_weight": wandb.Histogram(finite - finite.mean())}
        if phi.ndim == 2:
            row["configuration"] = wandb.Image(image(phi.cpu().numpy()), caption=bound(phi))
        super().log_metrics(row, step)

    def finalize(self, status: str) -> None:
        super().finalize(status)
        self.experiment.finish(exit_code=0 if status == "success" else 1)


def finish_wandb() -> None:
    """End the run that an error left open: the next job of a sweep would go on with it."""
    wandb: Any = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish(exit_code=1)


def sweep(folder: Path) -> dict[str, Any]:
    """Group and tags of a run whose folder is that of a job of a multirun; else none."""
    path = folder / ".hydra" / "hydra.yaml"
    if not path.exists():
        return {}
    hydra = OmegaConf.load(path).hydra
    if hydra.mode != "MULTIRUN":
        return {}
    tags = [override[:TAG] for override in hydra.overrides.task]
    return {"group": "/".join(folder.parent.parts[-2:])[-GROUP:], "tags": tags}


def image(phi: np.ndarray) -> np.ndarray:
    """A square a site, blue below zero and red above: ``(rows, columns, 3)``, 8 bits."""
    colours = colormaps["RdBu_r"](0.5 + 0.5 * phi / (np.abs(phi).max() or 1.0))[..., :3]
    return (255 * colours).astype(np.uint8).repeat(PIXELS, axis=0).repeat(PIXELS, axis=1)


def bound(phi: Tensor) -> str:
    """What the darkest colour of the image stands for."""
    return f"|phi| up to {phi.abs().max().item():.3g}, lattice units"
