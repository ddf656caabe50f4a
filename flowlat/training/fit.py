"""A training run, from a checked config to the files of its folder."""

import errno
import logging
import signal
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Trainer

from flowlat.analysis.importance import forward_quality
from flowlat.config.build import build_action, instantiate
from flowlat.config.checkpoint import load_flow
from flowlat.ensemble.reference import Reference
from flowlat.flows.proposals import proposals
from flowlat.report.page.plots import plot_training
from flowlat.runs.metrics import read_metrics
from flowlat.runs.processes import rank
from flowlat.runs.signals import Signals
from flowlat.runs.slurm import requeue
from flowlat.training.build import build_data, build_module, build_trainer, check_ensembles
from flowlat.training.callbacks import Best, Evaluation
from flowlat.training.loggers import finish_wandb
from flowlat.training.memory import advising
from flowlat.training.metrics import quality
from flowlat.training.resume import find_start
from flowlat.training.state import require_state
from flowlat.utils.errors import DivergedError, Interrupted, WriteError
from flowlat.utils.files import write_json
from flowlat.utils.provenance import provenance
from flowlat.utils.rng import Stream, generator
from flowlat.utils.threads import set_threads

log = logging.getLogger(__name__)

#: what a disk says that takes no more
UNWRITABLE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS),
    *(errno.EACCES, errno.EPERM, errno.EIO),
)


def fit(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train as the config says; leave checkpoints, metrics.csv, summary.json, training.png.

    Returns the summary; on ranks other than 0 an empty one. ESS, acceptance and log Z in it are
    measured on fresh samples of ``best_ess.ckpt``, so that they do not profit from having been the
    best of many.

    Raises:
        DivergedError, Interrupted, TooLargeError, WriteError: it ended before its time. The last
            checkpoint is whole.
    """
    set_threads(config["threads"], config["lattice"]["shape"], config["data"]["batch_size"])
    check_ensembles(config)
    evaluation = instantiate(config, "evaluation", seed=config["seed"])
    signals = Signals(quiet=rank() > 0)
    with signals:  # to the end: SLURM ends the job that it is told to requeue
        try:
            trainer = train(config, folder, evaluation, signals)
            if not trainer.is_global_zero:
                return {}
            checkpoint = folder / "checkpoints" / "best_ess.ckpt"
            summary = {
                **measure(checkpoint, config, evaluation.reference, trainer.strategy.root_device),
                "n_samples": config["evaluation"]["n_samples"],
                "epochs": trainer.current_epoch,
                "steps": trainer.global_step,
                "seconds": round(cast(Any, trainer.lightning_module).seconds, 3),
                **best_scores(trainer),
                "checkpoint": str(checkpoint),
            }
            write_json(folder / "summary.json", summary)
            plot_training(read_metrics(folder / "metrics.csv"), folder / "training.png")
        except Interrupted as error:
            words = farewell(error, config, folder)
            raise Interrupted(f"{error}; {words}", error.number) from error
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            raise WriteError(f"hydra.run.dir={folder}: {error.strerror}; {kept(folder)}") from error
        finally:
            finish_wandb()
    return summary


def train(
    config: dict[str, Any], folder: Path, evaluation: Evaluation, signals: Signals
) -> Trainer:
    """Train to the end; after a divergence again from the end of an epoch, if that is wanted."""
    divergence = config["divergence"]
    record = {"config": config, "provenance": provenance()}
    path, rollbacks = find_start(config, folder)
    while True:
        module, data = build_module(config, record, rollbacks), build_data(config)
        trainer = build_trainer(config, folder, evaluation, signals)
        if path is not None:
            require_state(path, config, module, data, trainer)
        for logger in trainer.loggers:
            logger.log_hyperparams(record)
        try:
            with advising(config, module, data):
                trainer.fit(module, datamodule=data, ckpt_path=path, weights_only=True)
            return trainer
        except DivergedError as error:
            rollbacks += 1
            if rollbacks > divergence["max_rollbacks"]:
                raise DivergedError(f"{error}; {kept(folder)}") from error
            end = folder / "checkpoints" / "epoch.ckpt"
            path = end if end.exists() else None
            log.warning(
                "%s; back to %s, rate times %g (rollback %d of %d)",
                *(error, path or "the beginning"),
                *(divergence["lr_factor"] ** rollbacks, rollbacks, divergence["max_rollbacks"]),
            )


def kept(folder: Path) -> str:
    """What there is to go on from, in words."""
    last = folder / "checkpoints" / "last.ckpt"
    if not last.exists():
        return "no checkpoint was written yet"
    return f"the last good checkpoint is {last}, resume=true goes on from there"


def farewell(error: Interrupted, config: dict[str, Any], folder: Path) -> str:
    """How an interrupted training goes on, in words; under SLURM by itself."""
    words = f"the same command with hydra.run.dir={folder} resume=true goes on"
    if rank() > 0 or error.number == signal.SIGINT or not config["resume"]:
        return words
    return requeue() or words


def best_scores(trainer: Trainer) -> dict[str, float]:
    """The best ESS and acceptance of the epochs."""
    best = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, Best)]
    return {f"best_{callback.name}": callback.score for callback in best}


def measure(
    checkpoint: Path, config: dict[str, Any], reference: Reference | None, device: torch.device
) -> dict[str, float]:
    """What an evaluation logs, of a checkpoint on samples that the training never saw."""
    seed, evaluation = config["seed"], config["evaluation"]
    flow, action = load_flow(checkpoint).to(device), build_action(config)
    batches = proposals(
        flow, action, evaluation["n_samples"], evaluation["batch_size"], seed, Stream.FINAL
    )
    log_w = torch.cat([batch.log_weight for batch in batches])
    found = quality(log_w, generator(seed, Stream.ACCEPT))._asdict()
    if reference is not None:
        found |= forward_quality(
            reference.log_weights(flow, action, evaluation["batch_size"], seed), reference.replicas
        )
    return found
