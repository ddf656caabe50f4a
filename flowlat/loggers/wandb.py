"""Weights & Biases."""

from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger


class Wandb(WandbLogger):
    """A W&B run whose summary holds the maximum of ESS and acceptance.

    ``offline`` needs neither an account nor a network; ``wandb sync`` sends the run later.
    Further options go to ``wandb.init``. The run ends with the training, so that the jobs of a
    sweep are runs of their own.
    """

    def __init__(self, save_dir: str, project: str, offline: bool, **options: Any):
        # wandb falls back to a temporary folder if its own is not there
        Path(save_dir).mkdir(parents=True, exist_ok=True)
        super().__init__(
            save_dir=save_dir, project=project, offline=offline, log_model=False, **options
        )
        for metric in ("ess", "acceptance"):
            self.experiment.define_metric(metric, summary="max")

    def finalize(self, status: str) -> None:
        super().finalize(status)
        self.experiment.finish()
