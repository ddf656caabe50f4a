"""What a config may hold: composed by Hydra, checked against these types and what nodes name."""

import re
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from flowlat.utils.limits import Probability, Rows, Seed, Workers

strict = with_config(ConfigDict(strict=True, extra="forbid"))


@with_config(ConfigDict(strict=True, extra="allow"))
class Node(TypedDict):
    """A group: what to build, and its options."""

    _target_: str


#: t_min and t_max of a fit
Window = Annotated[list[int], Field(min_length=2, max_length=2)]
#: what an observable is called, and its columns in a file
Name = Annotated[str, Field(pattern=r"^\w+$")]


@strict
class DataConfig(TypedDict):
    """What a training step sees.

    batch_size: configurations a step, over all ranks.
    """

    batch_size: Annotated[int, Field(ge=1)]


@strict
class DivergenceConfig(TypedDict):
    """What to do about a loss that leaves its range, and about NaN or infinity in loss, gradient,
    log weights or weights.

    max_rollbacks: so often, over the whole training, back to the end of the last epoch; then stop.
    lr_factor: of the learning rate from there on.
    """

    max_rollbacks: Annotated[int, Field(ge=0)]
    lr_factor: Probability


@strict
class TrainConfig(TypedDict):
    """conf/train.yaml."""

    lattice: Node
    action: Node
    prior: Node
    arch: Node
    phase: Literal["auto", "symmetric", "ordered"]
    symmetrize: bool
    family: Node | None
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
    resume: bool | Literal["restart"]
    init_from: str | None
    rank_timeout: Annotated[float, Field(gt=0)]


@strict
class FamilyUseConfig(TypedDict):
    """What to do with the checkpoint of a family.

    extrapolate: beyond its domain, too.
    """

    extrapolate: bool


@strict
class SampleConfig(TypedDict):
    """conf/sample.yaml."""

    lattice: Node
    action: Node
    sampler: Node
    observables: dict[Name, Node]
    ckpt_path: str | None
    family: FamilyUseConfig
    n_samples: Rows
    resume: bool
    batch_size: Annotated[int, Field(ge=1)]
    save_configs: bool
    mass_window: Window | None
    precision: Literal[32, 64] | None
    device: str
    devices: Workers
    seed: Seed
    threads: Workers | None


def option_name(node: dict[str, Any]) -> str:
    """What a sampler or an action is called: its class as one types it, LatentHMC as latent_hmc."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", node["_target_"].rpartition(".")[2])
    return words.lower()
