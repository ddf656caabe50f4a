"""What a config may hold: composed by Hydra, checked against dataclasses and what they name."""

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flowlat.config.validation import locate
from flowlat.utils.limits import ROWS, WORKERS, require_at_most


@dataclass
class DataConfig:
    """What a training step sees.

    batch_size: configurations a step, over all ranks.
    double_at: fractions of the training at which that doubles.
    """

    batch_size: int
    double_at: Sequence[float]

    def __post_init__(self) -> None:
        require_positive("batch_size", self.batch_size)
        for fraction in self.double_at:
            if not 0 < fraction < 1:
                raise ValueError(f"double_at={list(self.double_at)}: fractions between 0 and 1")


@dataclass
class DivergenceConfig:
    """What to do about NaN or infinity in loss, gradient, log weights or weights.

    max_rollbacks: so often, over the whole training, back to the end of the last epoch; then stop.
    lr_factor: of the learning rate from there on.
    """

    max_rollbacks: int
    lr_factor: float

    def __post_init__(self) -> None:
        if self.max_rollbacks < 0:
            raise ValueError(f"max_rollbacks={self.max_rollbacks}: must not be negative")
        if not 0 < self.lr_factor < 1:
            raise ValueError(f"lr_factor={self.lr_factor}: must be between 0 and 1")


#: the groups of a training that name what they build
TARGETS = (
    *("lattice", "action", "prior", "arch", "objective"),
    *("optimizer", "scheduler", "evaluation", "trainer"),
)


@dataclass
class TrainConfig:
    """conf/train.yaml."""

    lattice: dict[str, Any]
    action: dict[str, Any]
    prior: dict[str, Any]
    arch: dict[str, Any]
    symmetrize: bool
    objective: dict[str, Any]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    ema_decay: float | None
    data: DataConfig
    evaluation: dict[str, Any]
    trainer: dict[str, Any]
    logger: dict[str, Any] | None
    seed: int
    threads: int | None
    cuda_graphs: bool | None
    divergence: DivergenceConfig
    checkpoint_minutes: float
    resume: bool
    init_from: str | None

    def __post_init__(self) -> None:
        for name in TARGETS:
            require_target(name, getattr(self, name))
        require_seed(self.seed)
        if self.threads is not None:
            require_positive("threads", self.threads)
            require_at_most(WORKERS, "threads", self.threads, f"threads={self.threads}")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"ema_decay={self.ema_decay}: must be between 0 and 1")
        if not self.checkpoint_minutes >= 0:
            raise ValueError(f"checkpoint_minutes={self.checkpoint_minutes}: must not be negative")


@dataclass
class SampleConfig:
    """conf/sample.yaml."""

    lattice: dict[str, Any]
    action: dict[str, Any]
    sampler: dict[str, Any]
    observables: dict[str, Any]
    ckpt_path: str | None
    n_samples: int
    resume: bool
    batch_size: int
    save_configs: bool
    precision: Literal[32, 64] | None
    device: str
    devices: int
    seed: int
    threads: int | None

    def __post_init__(self) -> None:
        for name in ("lattice", "action", "sampler"):
            require_target(name, getattr(self, name))
        for name, node in self.observables.items():
            require_target(f"observables.{name}", node)
            if not re.fullmatch(r"\w+", name):
                raise ValueError(f"observables.{name}: a name of letters, digits and _ only")
        flow = inspect.signature(locate(self.sampler["_target_"])).parameters.get("flow")
        if flow and flow.default is flow.empty and self.ckpt_path is None:
            name = sampler_name(self.sampler)
            raise ValueError(f"ckpt_path=null: sampler={name} needs a trained flow")
        require_positive("n_samples", self.n_samples)
        require_at_most(ROWS, "configurations", self.n_samples, f"n_samples={self.n_samples}")
        require_positive("batch_size", self.batch_size)
        require_positive("devices", self.devices)
        require_at_most(WORKERS, "devices", self.devices, f"devices={self.devices}")
        require_seed(self.seed)
        if self.threads is not None:
            require_positive("threads", self.threads)
            require_at_most(WORKERS, "threads", self.threads, f"threads={self.threads}")


def sampler_name(node: dict[str, Any]) -> str:
    """What a sampler is called: its class, as one types it."""
    return node["_target_"].rpartition(".")[2].lower()


def require_positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name}={value}: must be at least 1")


def require_seed(seed: int) -> None:
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed={seed}: must lie between 0 and 2^63 - 1")


def require_target(name: str, node: Any) -> None:
    if not isinstance(node, dict) or "_target_" not in node:
        raise ValueError(f"{name}={node!r}: must be a mapping with a _target_")
