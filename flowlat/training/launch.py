"""``fit`` on as many processes as the trainer has devices."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from flowlat.config.build import instantiate
from flowlat.runs.processes import UNUSED_SRUN, external_launcher, rank, spawn_ranks
from flowlat.training.fit import fit, kept
from flowlat.training.trainer import check_trainer
from flowlat.utils.errors import ConfigError, RankError


def train(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train as the config says; the summary, empty on ranks of torchrun and srun other than 0.

    One device is this process. For several each has a process of its own: those that torchrun or
    srun started, or else new ones, so that Hydra runs once and the jobs of a sweep are independent.
    So it has, too, in a worker of joblib, with which all the others would end: of the two the
    system kills the process that has the memory.

    Raises:
        ConfigError: devices that do not fit the processes, or that cannot train this flow.
        RankError: a process died.
    """
    check_trainer(config["trainer"])
    with quiet():
        trainer = instantiate(config, "trainer", logger=False)
    n, nodes, outside = trainer.num_devices, trainer.num_nodes, external_launcher()
    if outside and outside.world_size() != n * nodes:
        raise ConfigError(
            f"trainer.devices={n}, trainer.num_nodes={nodes}: {outside.world_size()} processes "
            "were started, one for each device is right"
        )
    if nodes > 1 and not outside:
        raise ConfigError(f"trainer.num_nodes={nodes}: start it with torchrun or srun on each node")
    if (
        n * nodes > 1
        and config["arch"].get("batch_norm")
        and not config["trainer"].get("sync_batchnorm")
    ):
        raise ConfigError(
            "arch.batch_norm=True: on several devices it needs trainer.sync_batchnorm=true, which "
            "PyTorch has for GPUs only"
        )
    if outside or (n * nodes == 1 and not in_worker()):
        return fit_quietly(config, folder)
    try:
        summary: dict[str, Any] = spawn_ranks(n, fit_quietly, config, folder, log=logging_config())
    except RankError as error:
        raise RankError(f"{error}; {kept(folder)}") from error
    return summary


def fit_quietly(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """``fit`` in ``quiet``; ranks other than 0 report errors only."""
    if rank() > 0:
        for name in ("", "lightning", "lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
    with quiet():
        return fit(config, folder)


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings that say nothing here."""
    with warnings.catch_warnings():
        # Lightning's own use of PyTorch; figures that every rank has the same of; batches that are
        # functions of their number
        for text in ("LeafSpec", "all_gather", "sync_dist=True", "dataloader is not resumable"):
            warnings.filterwarnings("ignore", message=f".*{text}.*")
        warnings.filterwarnings("ignore", message=UNUSED_SRUN)
        yield


def in_worker() -> bool:
    """Whether this is a job of a sweep in a worker of joblib."""
    return HydraConfig.initialized() and "joblib" in HydraConfig.get().launcher._target_


def logging_config() -> dict[str, Any] | None:
    """Hydra's, where this is one of its jobs."""
    if not HydraConfig.initialized():
        return None
    found: Any = OmegaConf.to_container(HydraConfig.get().job_logging, resolve=True)
    return found
