"""What several test files need: the options of conf/, flows away from the identity."""

import copy
import math
from functools import cache
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_class
from omegaconf import OmegaConf
from torch import nn

from flowlat import build_flow, compose
from flowlat.bijections import Continuous
from flowlat.config.compose import validate
from flowlat.config.schemas import TrainConfig
from flowlat.flows.calibration import set_steps
from flowlat.flows.flow import Flow
from flowlat.runs.signals import Signals
from flowlat.training.build import build_evaluation, build_module, build_trainer
from flowlat.training.loggers import finish_wandb
from flowlat.training.module import LitFlow
from flowlat.training.trainer import check_trainer

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"

DIMENSIONS = (1, 2, 3, 4)
#: a small lattice of every dimension, with unequal sides
SHAPES = {1: [6], 2: [4, 6], 3: [2, 4, 4], 4: [2, 4, 2, 2]}


def options(group: str) -> list[str]:
    """The names of a group's yamls."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def required(group: str, name: str) -> list[str]:
    """Overrides for the options of a yaml that have no default."""
    node = OmegaConf.load(CONF / group / f"{name}.yaml")
    return [f"{group}.{key}=any" for key in node if OmegaConf.is_missing(node, key)]


@cache
def least_dimension(arch: str) -> int:
    """The smallest d in which an architecture makes sense: its k."""
    return compose([f"arch={arch}"]).arch.get("k") or 1


@cache
def dimensions(prior: str) -> tuple[int, ...]:
    """Those of ``DIMENSIONS`` that a prior is for."""
    only: int | None = get_class(OmegaConf.load(CONF / "prior" / f"{prior}.yaml")._target_).only_d
    return DIMENSIONS if only is None else (only,)


@cache
def keys(arch: str) -> frozenset[str]:
    """The options of an architecture: not every one has those of couplings."""
    return frozenset(compose([f"arch={arch}"]).arch)


def equivariances(arch: str) -> list[str]:
    """An override for each value of ``equivariant``, or none where there is no such option."""
    if "equivariant" not in keys(arch):
        return []
    return [f"arch.equivariant={flag}" for flag in ("true", "false")]


def overrides(d: int, *more: str) -> list[str]:
    """The small lattice of dimension d, and more."""
    return [f"lattice={d}d", f"lattice.shape={SHAPES[d]}".replace(" ", ""), *more]


def moved(module: nn.Module, size: float = 0.1) -> Any:
    """The module in float64, with every parameter moved by normal numbers times ``size``."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator))
    return module.double()


def moved_flow(*names: str) -> Flow:
    """A float64 flow with random weights, far enough from the identity to put a law to the test."""
    return copy.deepcopy(_moved_flow(*names))


@cache
def _moved_flow(*names: str) -> Flow:
    arch = next((name for name in names if name.startswith("arch=")), "arch=conv")
    sizes = {"n_steps": 12, "n_couplings": 3}
    known = keys(arch.removeprefix("arch="))
    small = [f"arch.{key}={size}" for key, size in sizes.items() if key in known]
    flow = build_flow(compose([arch, *small, *(name for name in names if name != arch)])).double()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in flow.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            fan_in = math.prod(parameter.shape[2:]) or 1
            # exponents of a whole layer, such as a spectrum, move less than weights
            scale = 0.3 if parameter.dim() > 1 else 0.1
            parameter.add_(scale * noise / fan_in**0.5)
    set_steps(flow, 32)  # so far from the identity an ODE needs them
    return flow.eval()


def tolerance(flow: Flow) -> dict[str, float]:
    """How exactly the laws hold: to rounding, or to the error of an ODE's steps."""
    solved = any(isinstance(part, Continuous) for part in flow.modules())
    return {"rtol": 0, "atol": 1e-5 if solved else 1e-9}


def gradient(objective: Any, flow: Flow, action: Any, noise: torch.Tensor) -> torch.Tensor:
    """The gradient of an objective in all parameters of the flow, one vector."""
    flow.zero_grad()
    objective(flow, action, noise)[0].backward()
    return torch.cat([p.grad.flatten() for p in flow.parameters()])


def build_everything(names: list[str], folder: Path) -> LitFlow:
    """Build all that ``train.py NAMES`` would, up to the first step."""
    config = validate(compose(names), TrainConfig)
    check_trainer(config["trainer"])
    module = build_module(config, {})
    evaluation = build_evaluation(config, folder)
    trainer = build_trainer(config, folder, evaluation, Signals())
    for logger in trainer.loggers:
        logger.finalize("success")
    finish_wandb(exit_code=0)  # or the next test would go on with its run
    return module


def wandb_records(path: Path):
    """The records of an offline W&B run: protobuf messages in LevelDB's log format."""
    from wandb.proto import wandb_internal_pb2

    data, at, parts = path.read_bytes(), 7, b""  # after W&B's own header
    while at < len(data):
        left = 32768 - at % 32768
        if left < 7:  # no record header fits: the next block
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            yield record
            parts = b""
