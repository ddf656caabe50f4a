"""The parts of a training, from its config: module, data, trainer."""

import math
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from flowlat.config.build import (
    action_at,
    build_action,
    build_family,
    build_flow,
    instantiate,
    instantiate_all,
)
from flowlat.config.checkpoint import load_weights
from flowlat.ensemble.reference import read_reference, require_theory
from flowlat.families import read_start, start_weights
from flowlat.objectives import FamilyObjective
from flowlat.objectives.cuda_graphs import with_cuda_graphs
from flowlat.runs.ranks.processes import environment
from flowlat.runs.signals import Signals
from flowlat.training.callbacks import (
    AtomicCheckpointIO,
    Best,
    Decline,
    Evaluation,
    FamilyEvaluation,
    Last,
    Progress,
    SolverSteps,
    Steps,
)
from flowlat.training.data import PriorDataModule
from flowlat.training.module import LitFlow
from flowlat.training.trainer import accelerator_of
from flowlat.utils.errors import CheckpointError, ConfigError, EnsembleError

#: of one flow or of a family
AnyEvaluation = Evaluation | FamilyEvaluation

#: the metrics whose best epoch has a checkpoint
BEST = ("ess", "acceptance")


def build_module(config: dict[str, Any], record: dict[str, Any], rollbacks: int = 0) -> LitFlow:
    """The LightningModule of a config, with the weights of ``init_from`` if it is given."""
    family = config["family"] is not None
    flow = build_family(config) if family else build_flow(config)
    if config["init_from"]:
        path, content = read_start(config)
        try:
            load_weights(flow, start_weights(path, content, config), path)
        except CheckpointError as error:
            raise CheckpointError(f"init_from: {error}") from error
    if not 0 <= (rate := config["optimizer"].get("lr", 0.0)) < math.inf:
        raise ConfigError(f"optimizer.lr={rate}: must be finite and not negative")
    optimizer, scheduler = instantiate(config, "optimizer"), instantiate(config, "scheduler")
    try:  # their own checks, before anything is written
        scheduler(optimizer(flow.parameters()), total_steps=1, steps_per_epoch=1, first_step=0)
    except (ValueError, RuntimeError, TypeError) as error:
        raise ConfigError(f"optimizer, scheduler: {error}") from error
    objective = instantiate(config, "objective")
    if family:
        if config["cuda_graphs"]:
            raise ConfigError(
                "cuda_graphs=True: a graph keeps its couplings, a family changes them"
            )
        parts: tuple[Any, Any] = partial(action_at, config), FamilyObjective(objective)
    else:
        sites = config["data"]["batch_size"] * math.prod(config["lattice"]["shape"])
        graphed = with_cuda_graphs(objective, config["cuda_graphs"], sites)
        parts = build_action(config), graphed
    module = LitFlow(
        flow,
        *parts,
        optimizer,
        scheduler,
        config["ema_decay"],
        record,
        rollbacks,
        config["divergence"]["lr_factor"],
    )
    # Lightning does so after it has loaded a checkpoint, whose digits would be lost
    return module.double() if str(config["trainer"].get("precision")).startswith("64") else module


def build_data(config: dict[str, Any]) -> PriorDataModule:
    """The training data of a config, with configurations if the objective has an ensemble."""
    data, ensemble = config["data"], config["objective"].get("ensemble")
    phi = read_reference(ensemble).phi if ensemble else None
    return PriorDataModule(data["batch_size"], config["seed"], phi)


def check_ensembles(config: dict[str, Any]) -> None:
    """Raise EnsembleError unless those of objective and evaluation are of this theory.

    ConfigError for a family, which has many.
    """
    for group in ("objective", "evaluation"):
        if path := config[group].get("ensemble"):
            if config.get("family") is not None:
                raise ConfigError(f"{group}.ensemble={path}: of one theory, a family has many")
            try:
                require_theory(path, config)
            except EnsembleError as error:
                raise EnsembleError(f"{group}.ensemble: {error}") from error


def build_evaluation(config: dict[str, Any], folder: Path) -> AnyEvaluation:
    """What is measured after every epoch, of a family at all points of its map."""
    evaluation: Evaluation = instantiate(config, "evaluation", seed=config["seed"])
    return evaluation if config["family"] is None else FamilyEvaluation(evaluation, folder)


def build_trainer(
    config: dict[str, Any], folder: Path, evaluation: AnyEvaluation, signals: Signals
) -> Trainer:
    """The Lightning Trainer of a config, with flowlat's callbacks and loggers."""
    best = [Best(folder / "checkpoints", name) for name in BEST]
    # after the best, whose scores are in what it saves
    last = Last(folder, signals, config["checkpoint_minutes"])
    # log Z of a family is that of many theories
    decline = [Decline()] if isinstance(evaluation, Evaluation) else []
    return instantiate(
        config,
        "trainer",
        accelerator=accelerator_of(config["trainer"]),
        default_root_dir=str(folder),
        callbacks=[SolverSteps(), evaluation, *decline, Progress(), Steps(), *best, last],
        logger=list(instantiate_all(config, "logger").values()),
        plugins=[AtomicCheckpointIO(), *environment()],
    )
