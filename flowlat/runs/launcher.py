"""Who started this process: torchrun or srun, as one of several ranks, or the user."""

import os
import warnings
from typing import TYPE_CHECKING

from flowlat.utils.errors import ConfigError

if TYPE_CHECKING:
    from lightning.fabric.plugins.environments import ClusterEnvironment

#: where a rank finds its number, in Lightning's own order
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
#: what srun and torchrun leave in the environment
LAUNCHED = ("SLURM_NTASKS", "TORCHELASTIC_RUN_ID")
#: a warning of Lightning: but a job of one task starts its ranks without, as a login node does
UNUSED_SRUN = ".*`srun`"


def rank() -> int:
    """The rank of this process, before and after the group is formed."""
    return int(next(filter(None, map(os.environ.get, RANKS)), 0))


def require_one_process() -> None:
    """For a program that is one process, and starts its own where it needs several.

    Raises:
        ConfigError: srun or torchrun started it more than once.
    """
    for launcher, name in (("srun", "SLURM_STEP_NUM_TASKS"), ("torchrun", "WORLD_SIZE")):
        if (n := int(os.environ.get(name) or 1)) > 1:
            raise ConfigError(f"{launcher} started {n} processes: one is right, with devices={n}")


def external_launcher() -> "ClusterEnvironment | None":
    """torchrun or SLURM, if it started this process as one of several.

    Raises:
        ConfigError: SLURM was told so in a way that does not say which task is which.
    """
    if not any(name in os.environ for name in LAUNCHED):
        return None
    # here, not above: a command that runs as one process has its first line before Lightning
    from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=UNUSED_SRUN)
        try:
            for kind in (SLURMEnvironment, TorchElasticEnvironment):
                if kind.detect() and (cluster := kind()).world_size() > 1:
                    return cluster
        except RuntimeError as error:
            raise ConfigError(str(error)) from error
    return None
