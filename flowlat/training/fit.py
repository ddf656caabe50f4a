"""A training run, from a checked config to the files of its folder."""

import logging
from errno import EACCES, EDQUOT, EFBIG, EIO, ENOENT, ENOSPC, EPERM, EROFS
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Trainer

from flowlat.analysis.trust import warnings
from flowlat.kernels.arithmetic import arithmetic, differing
from flowlat.kernels.library import Buffer
from flowlat.report.page.plots import plot_training
from flowlat.runs.folder.record import Record, clear, record_without_hydra
from flowlat.runs.launcher import rank
from flowlat.runs.metrics import read_metrics
from flowlat.runs.signals import Signals
from flowlat.training.build import (
    AnyEvaluation,
    build_data,
    build_evaluation,
    build_module,
    build_trainer,
    check_ensembles,
)
from flowlat.training.callbacks import Best, Decline
from flowlat.training.loggers import Wandb, finish_wandb
from flowlat.training.module import LitFlow
from flowlat.training.resume import find_start
from flowlat.utils.errors import (
    USER_ERRORS,
    CheckpointError,
    DivergedError,
    TooLargeError,
    WriteError,
)
from flowlat.utils.files import write_json
from flowlat.utils.formatting import typed
from flowlat.utils.memory import out_of_memory
from flowlat.utils.provenance import provenance
from flowlat.utils.threads import set_threads

log = logging.getLogger(__name__)

#: what a disk says that takes no more
UNWRITABLE = (ENOSPC, EDQUOT, EFBIG, EROFS, EACCES, EPERM, EIO)


def fit(config: dict[str, Any], folder: Path, record: Record | None = None) -> dict[str, Any]:
    """Train as the config says; leave checkpoints, metrics.csv, summary.json, training.png.

    Returns the summary; on ranks other than 0 an empty one. ESS, acceptance and log Z in it are
    measured on fresh samples of ``best_ess.ckpt``, so that they do not profit from having been the
    best of many.

    Raises:
        ConfigError, EnsembleError: an option that cannot be used, a folder that is not free.
        CheckpointError: ``resume=true``, and the state that is there does not fit.
        DivergedError, Interrupted, TooLargeError, WriteError: it ended before its time. The last
            checkpoint is whole.
    """
    record = record or record_without_hydra(folder)
    set_threads(config["threads"], config["lattice"]["shape"], config["data"]["batch_size"])
    check_ensembles(config)
    evaluation = build_evaluation(config, folder)
    signals = Signals(quiet=rank() > 0)
    with signals:
        try:
            trainer = fit_with_rollbacks(config, record, evaluation, signals)
            if not trainer.is_global_zero:
                return {}
            checkpoint = folder / "checkpoints" / "best_ess.ckpt"
            module = cast(LitFlow, trainer.lightning_module)
            device = trainer.strategy.root_device
            trained = cast(Any, trainer).datamodule.n_samples
            measured = evaluation.final(checkpoint, cast(Any, module.action), device, trained)
            best = [c for c in trainer.checkpoint_callbacks if isinstance(c, Best)]
            summary = {
                **measured,
                "phase": config["phase"],
                "epochs": trainer.current_epoch,
                "steps": trainer.global_step,
                "rollbacks": module.rollbacks,
                "seconds": round(module.seconds, 3),
                **{f"best_{callback.name}": callback.score for callback in best},
                "checkpoint": str(checkpoint),
                "provenance": provenance(),
            }
            barrier = getattr(module.action, "barrier", 0.0)  # of a family there are many actions
            barrier *= not getattr(module.flow, "crosses", False)
            seen = [c.seen for c in cast(Any, trainer).callbacks if isinstance(c, Decline)]
            summary["warnings"] = warnings(
                {**summary, "barrier": barrier, **(seen[0] if seen else {})}
            )
            write_json(folder / "summary.json", summary)
            for logger in trainer.loggers:
                if isinstance(logger, Wandb):
                    logger.log_summary(summary)
            finish_wandb(exit_code=0)
            plot_training(read_metrics(folder / "metrics.csv"), folder / "training.png")
        except OSError as error:
            if error.errno == ENOENT and not folder.is_dir():
                raise WriteError(f"hydra.run.dir={folder}: removed while it was trained") from error
            if error.errno not in UNWRITABLE:
                raise
            hint = resume_hint(folder)
            raise WriteError(f"hydra.run.dir={folder}: {error.strerror}; {hint}") from error
        finally:
            finish_wandb()
            Buffer.release()
    return summary


def fit_with_rollbacks(
    config: dict[str, Any], record: Record, evaluation: AnyEvaluation, signals: Signals
) -> Trainer:
    """Train to the end; after a divergence again from the end of an epoch, if that is wanted."""
    divergence, folder = config["divergence"], record.folder
    start = find_start(config, folder)
    path, rollbacks = start.path, start.rollbacks
    notes: dict[str, Any] = {"config": config, "provenance": provenance(), "legs": [*start.legs]}
    begun = False
    while True:
        module, data = build_module(config, notes, rollbacks), build_data(config)
        if rank() == 0 and not begun:
            if config["resume"] == "restart":
                clear(folder)
            record.begin()
        trainer = build_trainer(config, folder, evaluation, signals)
        kernel = config["arch"].get("kernel", "auto")
        notes["arithmetic"] = arithmetic(trainer.strategy.root_device, kernel)
        if not begun and (changed := differing(start.arithmetic, notes["arithmetic"])):
            log.warning("%s: %s", typed("hydra.run.dir", folder), changed)
        begun = True
        for logger in trainer.loggers:
            logger.log_hyperparams(notes)
        try:
            trainer.fit(module, datamodule=data, ckpt_path=path, weights_only=True)
            return trainer
        except DivergedError as error:
            rollbacks += 1
            most, factor = divergence["max_rollbacks"], divergence["lr_factor"] ** rollbacks
            if rollbacks > most:
                raise DivergedError(f"{error}; {resume_hint(folder)}") from error
            end = folder / "checkpoints" / "epoch.ckpt"
            path = end if end.exists() else None
            where = path or "the beginning"
            log.warning(
                f"{error}; back to {where}, rate times {factor:g} (rollback {rollbacks} of {most})"
            )
        except (*USER_ERRORS, OSError):
            raise
        except Exception as error:
            if out_of_memory(error):
                # PyTorch has an error of its own for devices, but none for the machine
                on_device = isinstance(error, torch.OutOfMemoryError)
                raise TooLargeError(
                    f"too little memory on {trainer.strategy.root_device if on_device else 'cpu'}: "
                    f"halve data.batch_size={config['data']['batch_size']} (or "
                    f"evaluation.batch_size={evaluation.batch_size})"
                ) from error
            if path is None or module.has_stepped:
                raise
            # restoring takes almost anything, the first step does not
            reason = f"{type(error).__name__}: {error}"
            raise CheckpointError(f"ckpt_path={path}: no state to go on from: {reason}") from error


def resume_hint(folder: Path) -> str:
    """What there is to go on from, in words."""
    last = folder / "checkpoints" / "last.ckpt"
    if not last.exists():
        return "no checkpoint was written yet"
    return f"the last good checkpoint is {last}, resume=true goes on from there"
