"""``fit`` on as many processes as the trainer has devices."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from lightning.fabric.plugins.environments import SLURMEnvironment
from omegaconf import OmegaConf

from flowlat.config.build import instantiate
from flowlat.config.trust import check_flow_config
from flowlat.runs.folder.record import Record, require_free
from flowlat.runs.launcher import UNUSED_SRUN, external_launcher, rank
from flowlat.runs.ranks.processes import spawn_ranks
from flowlat.runs.ranks.rendezvous import meet
from flowlat.training.fit import fit, resume_hint
from flowlat.training.phase import resolve_phase
from flowlat.training.trainer import accelerator_of, check_trainer
from flowlat.utils.errors import ConfigError, RankError


def train(config: dict[str, Any], folder: Path, record: Record | None = None) -> dict[str, Any]:
    """Train as the config says; the summary, empty on ranks of torchrun and srun other than 0.

    One device is this process. For several each has a process of its own: those that torchrun or
    srun started, or else new ones, so that Hydra runs once and the jobs of a sweep are independent.
    So it has, too, in a worker of joblib, with which all the others would end: of the two the
    system kills the process that has the memory.

    Args:
        record: of how the run came about, which is written when all is checked.

    Raises:
        ConfigError: devices that do not fit the processes, or that cannot train this flow; classes
            that a checkpoint may not name; a folder in which there is something that this would
            write over.
        RankError: a process died.
    """
    require_free(folder, "training", resume=bool(config["resume"]))
    check_trainer(config["trainer"])
    # now, and not when the first checkpoint is read again: what could not be would all be in vain
    check_flow_config(config, "")
    with quiet():
        accelerator = accelerator_of(config["trainer"])
        trainer = instantiate(config, "trainer", logger=False, accelerator=accelerator)
    n, nodes, launcher = trainer.num_devices, trainer.num_nodes, external_launcher()
    if launcher and launcher.world_size() != n * nodes:
        raise ConfigError(
            f"trainer.devices={n}, trainer.num_nodes={nodes}: {launcher.world_size()} processes "
            "were started, one for each device is right"
        )
    if nodes > 1 and not launcher:
        raise ConfigError(f"trainer.num_nodes={nodes}: start it with torchrun or srun on each node")
    batch_norm = config["arch"].get("batch_norm") and not config["trainer"].get("sync_batchnorm")
    if n * nodes > 1 and batch_norm:
        raise ConfigError(
            "arch.batch_norm=True: on several devices it needs trainer.sync_batchnorm=true, which "
            "PyTorch has for GPUs only"
        )
    config = resolve_phase(config, folder)
    hydra = HydraConfig.get() if HydraConfig.initialized() else None
    in_joblib = hydra is not None and "joblib" in hydra.launcher._target_
    if isinstance(launcher, SLURMEnvironment):  # torchrun sees to that itself
        gpu = trainer.strategy.root_device.type == "cuda"
        meet(launcher, config["rank_timeout"], "nccl" if gpu else "gloo")
    if launcher or (n * nodes == 1 and not in_joblib):
        return fit_quietly(config, folder, record)
    log: Any = OmegaConf.to_container(hydra.job_logging, resolve=True) if hydra else None
    try:
        return spawn_ranks(n, fit_quietly, config, folder, record, log=log)
    except RankError as error:
        raise RankError(f"{error}; {resume_hint(folder)}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings that say nothing here, and without what Lightning tells at every start."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)  # not in a yaml: to import Lightning sets them again
    # Lightning's own use of PyTorch; figures that every rank has the same of; batches that are
    # functions of their number
    texts = ("LeafSpec", "all_gather", "sync_dist=True", "dataloader is not resumable", UNUSED_SRUN)
    with warnings.catch_warnings():
        for text in texts:
            warnings.filterwarnings("ignore", message=f".*{text}")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@quiet()
def fit_quietly(
    config: dict[str, Any], folder: Path, record: Record | None = None
) -> dict[str, Any]:
    """``fit`` without those warnings; ranks other than 0 report errors only."""
    if rank() > 0:
        for name in ("", "lightning", "lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
    return fit(config, folder, record)
