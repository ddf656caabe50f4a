"""What a config may hold: composed by Hydra, checked against dataclasses and what they name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from flowlat.utils.limits import Probability, Rows, Seed, Workers


def require_target(node: Any) -> Any:
    """The node, unless it names nothing to build."""
    if not isinstance(node, dict) or "_target_" not in node:
        raise PydanticCustomError("node", "must be a mapping with a _target_")
    return node


#: a group: what to build, and its options
Node = Annotated[dict[str, Any], BeforeValidator(require_target)]
#: what an observable is called, and its columns in a file
Name = Annotated[str, Field(pattern=r"^\w+$")]


@dataclass
class DataConfig:
    """What a training step sees.

    batch_size: configurations a step, over all ranks.
    double_at: fractions of the training at which that doubles.
    """

    batch_size: Annotated[int, Field(ge=1)]
    double_at: Sequence[Probability]


@dataclass
class DivergenceConfig:
    """What to do about NaN or infinity in loss, gradient, log weights or weights.

    max_rollbacks: so often, over the whole training, back to the end of the last epoch; then stop.
    lr_factor: of the learning rate from there on.
    """

    max_rollbacks: Annotated[int, Field(ge=0)]
    lr_factor: Probability


@dataclass
class TrainConfig:
    """conf/train.yaml."""

    lattice: Node
    action: Node
    prior: Node
    arch: Node
    symmetrize: bool
    objective: Node
    optimizer: Node
    scheduler: Node
    ema_decay: Probability | None
    data: DataConfig
    evaluation: Node
    trainer: Node
    logger: dict[str, Node] | None
    seed: Seed
    threads: Workers | None
    cuda_graphs: bool | None
    divergence: DivergenceConfig
    checkpoint_minutes: Annotated[float, Field(ge=0)]
    resume: bool
    init_from: str | None


@dataclass
class SampleConfig:
    """conf/sample.yaml."""

    lattice: Node
    action: Node
    sampler: Node
    observables: dict[Name, Node]
    ckpt_path: str | None
    n_samples: Rows
    resume: bool
    batch_size: Annotated[int, Field(ge=1)]
    save_configs: bool
    precision: Literal[32, 64] | None
    device: str
    devices: Workers
    seed: Seed
    threads: Workers | None


def sampler_name(node: dict[str, Any]) -> str:
    """What a sampler is called: its class, as one types it."""
    return node["_target_"].rpartition(".")[2].lower()
