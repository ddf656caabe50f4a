"""A training run, from a checked config to the files of its folder."""

import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger

from flowlat.build import FLOW_GROUPS, build_action, build_flow, instantiate, instantiate_all
from flowlat.callbacks import AtomicCheckpointIO, Evaluation, Progress, checkpoints
from flowlat.checkpoint import flow_weights, load_flow, load_weights, read_checkpoint
from flowlat.cuda_graphs import with_cuda_graphs
from flowlat.data import PriorDataModule
from flowlat.errors import CheckpointError, ConfigError, DivergedError
from flowlat.evaluation import proposals
from flowlat.files import write_json
from flowlat.loggers import MetricsTable, read_metrics
from flowlat.metrics import Quality, quality
from flowlat.plots import plot_training
from flowlat.provenance import provenance
from flowlat.rng import Stream, generator
from flowlat.threads import set_threads
from flowlat.training import LitFlow

PRECISIONS = (32, 64, "32", "64", "32-true", "64-true")

#: options of how a flow is computed, which may change between the legs of a run
IMPLEMENTATION = ("kernel", "recompute")


def fit(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train as the config says; leave checkpoints, metrics.csv, summary.json, training.png.

    Returns the summary. ESS, acceptance and log Z in it are measured on fresh samples of
    ``best_ess.ckpt``, so that they do not profit from having been the best of many.
    """
    started = time.monotonic()
    set_threads(config["threads"], config["lattice"]["shape"], config["data"]["batch_size"])
    record = {"config": config, "provenance": provenance()}
    module = build_module(config, record)
    evaluation = instantiate(config, "evaluation", seed=config["seed"])
    if config["ckpt_path"]:
        check_resumable(config)
    trainer = build_trainer(config, folder, evaluation)
    for logger in trainer.loggers:
        logger.log_hyperparams(record)
    try:
        trainer.fit(
            module,
            datamodule=PriorDataModule(config["data"]["batch_size"], config["seed"]),
            ckpt_path=config["ckpt_path"],
            weights_only=True,
        )
    except DivergedError as error:
        last = folder / "checkpoints" / "last.ckpt"
        kept = f"the last good checkpoint is {last}" if last.exists() else "no epoch was finished"
        raise DivergedError(f"{error}; {kept}") from error
    checkpoint = folder / "checkpoints" / "best_ess.ckpt"
    summary = {
        **measure(checkpoint, config, module.device)._asdict(),
        "n_samples": config["evaluation"]["n_samples"],
        "epochs": trainer.current_epoch,
        "steps": trainer.global_step,
        "seconds": round(time.monotonic() - started, 3),
        **{f"best_{name}": score for name, score in best_scores(trainer).items()},
        "checkpoint": str(checkpoint),
    }
    if trainer.is_global_zero:
        write_json(folder / "summary.json", summary)
        plot_training(read_metrics(folder / "metrics.csv"), folder / "training.png")
    return summary


def build_module(config: dict[str, Any], record: dict[str, Any]) -> LitFlow:
    """The LightningModule of a config, with the weights of ``init_from`` if it is given."""
    flow = build_flow(config)
    if config["init_from"]:
        path = config["init_from"]
        try:
            load_weights(flow, flow_weights(read_checkpoint(path)), path)
        except CheckpointError as error:
            raise CheckpointError(f"init_from: {error}") from error
    optimizer, scheduler = instantiate(config, "optimizer"), instantiate(config, "scheduler")
    try:  # their own checks, before anything is written
        scheduler(optimizer(flow.parameters()), total_steps=1, steps_per_epoch=1)
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"optimizer, scheduler: {error}") from error
    objective = with_cuda_graphs(
        instantiate(config, "objective"),
        config["cuda_graphs"],
        config["lattice"]["shape"],
        config["data"]["batch_size"],
    )
    return LitFlow(
        flow,
        build_action(config),
        objective,
        optimizer,
        scheduler,
        config["ema_decay"],
        record,
    )


def build_trainer(config: dict[str, Any], folder: Path, evaluation: Evaluation) -> Trainer:
    """The Lightning Trainer of a config, with flowlat's callbacks and loggers."""
    for key in ("max_epochs", "limit_train_batches"):  # the data are endless: both must be counts
        value = config["trainer"].get(key)
        if not isinstance(value, int) or value < 1:
            raise ConfigError(f"trainer.{key}={value}: must be an integer of at least 1")
    clip = config["trainer"].get("gradient_clip_val")
    if clip is not None and clip < 0:
        raise ConfigError(f"trainer.gradient_clip_val={clip}: must not be negative")
    precision = config["trainer"].get("precision", 32)
    if precision not in PRECISIONS:
        raise ConfigError(f"trainer.precision={precision}: flows are trained in 32 or 64 bits")
    loggers: list[Logger] = [MetricsTable(folder / "metrics.csv")]
    loggers += instantiate_all(config, "logger").values()
    return instantiate(
        config,
        "trainer",
        default_root_dir=str(folder),
        callbacks=[evaluation, Progress(), *checkpoints(folder / "checkpoints")],
        logger=loggers,
        plugins=[AtomicCheckpointIO()],
    )


def check_resumable(config: dict[str, Any]) -> None:
    """Raise CheckpointError if the run of ``ckpt_path`` cannot go on under this config."""
    path = config["ckpt_path"]
    content = read_checkpoint(path)
    theirs = content["flowlat"]["config"]
    for key, (before, now) in differences(theirs, config).items():
        raise CheckpointError(
            f"ckpt_path={path}: that run has {key}={before}, not {now}; "
            "to take its weights alone, use init_from="
        )
    done = content["epoch"] + 1
    if done >= config["trainer"]["max_epochs"]:
        raise ConfigError(
            f"trainer.max_epochs={config['trainer']['max_epochs']}: the run of ckpt_path={path} "
            f"has its {done} epochs already"
        )


def differences(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The options in which two configs define different flows: key -> (their value, our value)."""
    found = {}
    for group in (*FLOW_GROUPS, "ema_decay"):
        a, b = theirs[group], ours[group]
        if isinstance(a, dict) and isinstance(b, dict):
            for name in sorted(a.keys() | b.keys()):
                if name not in IMPLEMENTATION and a.get(name) != b.get(name):
                    found[f"{group}.{name}"] = a.get(name), b.get(name)
        elif a != b:
            found[group] = a, b
    return found


def best_scores(trainer: Trainer) -> dict[str, float]:
    """The best ESS and acceptance of the epochs."""
    return {
        callback.monitor: callback.best_model_score.item()
        for callback in trainer.checkpoint_callbacks
        if isinstance(callback, ModelCheckpoint)
        and callback.monitor
        and callback.best_model_score is not None
    }


def measure(checkpoint: Path, config: dict[str, Any], device: torch.device) -> Quality:
    """ESS, acceptance and log Z of a checkpoint on samples that the training never saw."""
    seed, evaluation = config["seed"], config["evaluation"]
    batches = proposals(
        load_flow(checkpoint).to(device),
        build_action(config),
        evaluation["n_samples"],
        evaluation["batch_size"],
        seed,
        Stream.FINAL,
    )
    log_w = torch.cat([batch.log_weight for batch in batches])
    return quality(log_w, generator(seed, Stream.ACCEPT))
