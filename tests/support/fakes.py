"""A sampler of every kind that costs nothing: the driver, the store and the reader against it."""

import itertools
import math
import os
import signal
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from flowlat import build_flow, compose
from flowlat.actions import Action
from flowlat.config.compose import validate
from flowlat.config.schemas import TrainConfig
from flowlat.flows.flow import Flow
from flowlat.lattice import Lattice
from flowlat.objectives import reverse_kl
from flowlat.observables import Configurations, Observable
from flowlat.priors import FreeField
from flowlat.samplers.base import Block, Sampler

OBSERVABLES = "flowlat.observables"


def walk_config(**changes: Any) -> dict[str, Any]:
    """A checked config of a sampling run by a ``Walk``; ``sampler`` may give its arguments."""
    config = {
        "lattice": {"_target_": "flowlat.lattice.Lattice", "shape": [2, 4]},
        "action": {"_target_": "flowlat.actions.Phi4", "m2": 1.0, "lam": 0.5},
        "sampler": {},
        "observables": {
            "phi2": {"_target_": f"{OBSERVABLES}.Phi2"},
            "binder": {"_target_": f"{OBSERVABLES}.Binder"},
            "two_point": {"_target_": f"{OBSERVABLES}.TwoPoint", "all_axes": False},
        },
        "ckpt_path": None,
        "n_samples": 100,
        "resume": False,
        "batch_size": 8,
        "save_configs": True,
        "mass_window": None,
        "precision": None,
        "device": "cpu",
        "devices": 1,
        "seed": 0,
        "threads": 1,
        **changes,
    }
    config["sampler"] = {"_target_": "tests.support.fakes.Walk", **config["sampler"]}
    return config


class WalkState(NamedTuple):
    """phi ``(replicas, *shape)`` of the last step; blocks so far."""

    phi: Tensor
    n_blocks: Tensor


class Walk(Sampler):
    """phi' = phi / 2 + noise in every replica: a block depends on the state before it.

    Args:
        steps: of every replica in a block.
        fails_at: the number of a block that cannot be drawn.
    """

    def __init__(
        self,
        lattice: Lattice,
        action: Action,
        kind: Literal["proposals", "chain", "weighted"] = "chain",
        replicas: int = 3,
        steps: int = 4,
        fails_at: int | None = None,
    ):
        if steps < 1:
            raise ValueError(f"steps={steps}: must be at least 1")
        self.lattice, self.action = lattice, action
        self.kind, self.replicas, self.rows = kind, replicas, replicas * steps
        self.fails_at = fails_at

    def start(self, generator: torch.Generator) -> WalkState:
        return self.initial_state()._replace(phi=self._noise(generator))

    def initial_state(self) -> WalkState:
        shape = (self.replicas, *self.lattice.shape)
        return WalkState(torch.zeros(shape, dtype=torch.float64), torch.tensor(0))

    def step(self, state: WalkState, generator: torch.Generator) -> tuple[WalkState, Block]:
        if state.n_blocks == self.fails_at:
            raise ValueError("the walk has lost its way")
        phi, steps = state.phi, []
        for _ in range(self.rows // self.replicas):
            phi = phi / 2 + self._noise(generator)
            steps.append(phi)
        rows = torch.cat(steps)
        uniform = torch.rand(2, self.rows, generator=generator, dtype=torch.float64)
        accepted = uniform[1] < 0.7
        if not state.n_blocks:
            accepted[: self.replicas] = True
        return WalkState(phi, state.n_blocks + 1), Block(
            rows,
            self.action(rows),
            None if self.kind == "chain" else uniform[0],
            None if self.kind == "weighted" else accepted,
        )

    def info(self, state: WalkState) -> dict[str, float]:
        return {"n_blocks": state.n_blocks.item()}

    def _noise(self, generator: torch.Generator) -> Tensor:
        shape = (self.replicas, *self.lattice.shape)
        return torch.randn(shape, generator=generator, dtype=torch.float64)


class FreeWalk(Walk):
    """A walk of a free field, whose propagator it has: the noise is one of variance 3/4."""

    def _noise(self, generator: torch.Generator) -> Tensor:
        noise = super()._noise(generator)
        prior = FreeField(self.lattice, mass2=self.action.m2, n_coefficients=0).double()
        with torch.no_grad():
            return math.sqrt(3 / 4) * prior(noise)[0]


def free_config(**changes: Any) -> dict[str, Any]:
    """A checked config of a sampling run by a ``FreeWalk`` on a chain of 8 sites, m2 = 1/2."""
    lattice = {"_target_": "flowlat.lattice.Lattice", "shape": [8]}
    action = {"_target_": "flowlat.actions.Free", "m2": 0.5}
    own = {"_target_": "tests.support.fakes.FreeWalk", "steps": 50}
    sampler = own | changes.pop("sampler", {})
    return walk_config(lattice=lattice, action=action, sampler=sampler, n_samples=3000, **changes)


class NeedsFlow(Walk):
    """A walk that asks for a flow."""

    def __init__(self, flow: Flow, lattice: Lattice, action: Action, batch_size: int):
        super().__init__(lattice, action, steps=batch_size)
        self.flow = flow


class Mean(Observable):
    """An observable of the user's own: <mean(phi) ** power>."""

    symbol = "<M^n>"

    def __init__(self, power: int = 1):
        self.power = power

    def measure(self, configurations: Configurations) -> Tensor:
        return configurations.mean_field**self.power


class Wrong(Observable):
    """Measures a field, not numbers."""

    def measure(self, configurations: Configurations) -> Tensor:
        return configurations.phi


class Infinite(Observable):
    """Measures 1 / 0."""

    def measure(self, configurations: Configurations) -> Tensor:
        return configurations.action / 0


_calls = itertools.count(1)


def disturbed(flow: Flow, action: Action, noise: Tensor) -> tuple[Tensor, Tensor]:
    """The reverse KL, but for what DISTURB="RANK CALL WHAT" says: in that call on that rank "die",
    "signal" (SIGUSR1 to the parent) or "nan"."""
    loss, log_weight = reverse_kl(flow, action, noise)
    rank, call, what = os.environ.get("DISTURB", "0 0 nothing").split()
    if next(_calls) == int(call) and os.environ["RANK"] == rank:
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif what == "signal":
            os.kill(parent_process().pid, signal.SIGUSR1)
        elif what == "nan":
            loss = loss * math.nan
    return loss, log_weight


def save_flow(path: Path, *names: str) -> Path:
    """A checkpoint of a flow with fresh weights, without a training."""
    config = validate(compose(names), TrainConfig)
    weights = {f"flow.{name}": value for name, value in build_flow(config).state_dict().items()}
    torch.save({"flowlat": {"config": config}, "state_dict": weights}, path)
    return path
