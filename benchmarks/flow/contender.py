"""The flow of a version: what is timed, and how far it is from the solution of its ODE."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from benchmarks.flow.cases import Case, shipped_weights
from benchmarks.flow.checkout import package
from flowlat.objectives import path_gradient

BATCH, SAMPLES = 64, 256
#: steps and rate of a short training
TRAINING, RATE = 300, 1e-2
BEFORE, TORCH, FUSED = "before", "torch", "fused"


@dataclass
class Contender:
    """One call is a training step, or ``SAMPLES`` samples, or a solution of the ODE alone."""

    flow: Any
    action: Any
    train: Callable[[], None]
    sample: Callable[[], None]
    solve: Callable[[], None]

    @property
    def solver(self) -> Any:
        return self.flow.bijection.bijections[1]

    @property
    def velocities(self) -> int:
        """Evaluations of a solution in evaluation mode."""
        if hasattr(self.solver, "evaluation_steps"):
            method, steps = self.solver._method()
            return steps * len(method.stages)
        return 4 * (len(self.solver._velocities()) // 2)  # of the classical method

    @torch.no_grad()
    def log_weights(self, noise: torch.Tensor) -> torch.Tensor:
        """In float64."""
        phi, log_q = copy.deepcopy(self.flow).double().eval()(noise)
        weights: torch.Tensor = -self.action(phi) - log_q
        return weights


def contender(
    name: str, case: Case, weights: Mapping[str, torch.Tensor], before: Path | None = None
) -> Contender:
    """The default flow of a version, with these weights."""
    with package(before if name == BEFORE else None) as get:
        lattice = get("flowlat.lattice").Lattice(case.shape)
        bijection = get("flowlat.archs").continuous(lattice, equivariant=case.shift is None)
        prior = get("flowlat.priors").FreeField(lattice, shift=case.shift)
        # the module of the flows had another name once
        flows = "flowlat.flow" + "s" * (find_spec("flowlat.flows") is not None)
        flow = get(flows).PushforwardFlow(prior, bijection)
        action = get("flowlat.actions").Phi4(m2=-4.0, lam=case.lam)
        objective = get("flowlat.objectives").path_gradient
        solver = bijection.bijections[1]
        flow(torch.randn(1, *case.shape))  # what is imported at a first call
    missing, _ = flow.load_state_dict(weights, strict=False)
    assert not missing or not weights, missing
    if name == TORCH:
        solver._solve = lambda x, sign: solver._solve_plainly(x, solver._tables(sign), sign)
        # the score by the inverse, as any bijection has it
        solver.with_score = lambda x, score: super(type(solver), solver).with_score(x, score)
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-4, fused=True)
    noise = torch.randn(SAMPLES, *case.shape)

    def train() -> None:
        flow.train()
        optimizer.zero_grad()
        objective(flow, action, noise[:BATCH])[0].backward()
        optimizer.step()

    @torch.no_grad()
    def sample() -> None:
        flow.eval()
        flow(noise)

    @torch.no_grad()
    def solve() -> None:
        flow.eval()
        solver(noise)

    return Contender(flow, action, train, sample, solve)


def weights_of(case: Case) -> dict[str, torch.Tensor]:
    """Of the shipped checkpoint, or of a short training."""
    if case.checkpoint:
        return shipped_weights(case)
    made = contender(FUSED, case, {})
    optimizer = torch.optim.Adam(made.flow.parameters(), lr=RATE, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, TRAINING)
    generator = torch.Generator().manual_seed(1)
    for _ in range(TRAINING):
        optimizer.zero_grad()
        noise = made.flow.noise(BATCH, generator)
        path_gradient(made.flow, made.action, noise)[0].backward()
        optimizer.step()
        schedule.step()
    state_dict: dict[str, torch.Tensor] = made.flow.state_dict()
    return state_dict
