"""Weights & Biases."""

from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger


def wandb_logger(save_dir: str, project: str, offline: bool, **options: Any) -> WandbLogger:
    """A W&B run whose summary holds the maximum of ESS and acceptance.

    ``offline`` needs neither an account nor a network; ``wandb sync`` sends the run later.
    Further options go to ``wandb.init``.
    """
    # wandb falls back to a temporary folder if its own cannot be made
    Path(save_dir).mkdir(parents=True, exist_ok=True)
    logger = WandbLogger(
        save_dir=save_dir, project=project, offline=offline, log_model=False, **options
    )
    for metric in ("ess", "acceptance"):
        logger.experiment.define_metric(metric, summary="max")
    return logger
