"""Annealed importance sampling and sequential Monte Carlo, from a Gaussian or from a flow."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from flowlat.actions import Action
from flowlat.analysis.importance import ess, log_mean
from flowlat.flows.calibration import PLANNED, calibrate, set_steps
from flowlat.flows.flow import Flow
from flowlat.lattice import Lattice, batch_fastest
from flowlat.samplers.accept import metropolis_test, select
from flowlat.samplers.base import Block, IndependentSampler, Kind
from flowlat.samplers.density import Density, FlowDensity
from flowlat.samplers.dynamics.deep_wells import site_signs
from flowlat.samplers.dynamics.integrators import IntegratorName
from flowlat.samplers.dynamics.trajectory import Trajectory
from flowlat.samplers.dynamics.tuning import adapted, first_step_size
from flowlat.samplers.mean_field import MeanField
from flowlat.samplers.single_sites import SingleSites
from flowlat.utils.limits import Count, Positive, Probability, Rows

#: particles of the pilot population, and moves it makes at the start of the path to tune itself
PILOT, WARM_UP = 64, 50
#: ESS after annealing, for which a flow is calibrated: its own says too little of it
ANNEALED_ESS = 0.99


class Particles(NamedTuple):
    """phi ``(n, *shape)``; -log q0 and S there, ``(n,)``."""

    phi: Tensor
    start: Tensor
    action: Tensor


class AnnealedState(NamedTuple):
    """The schedule, tuned once: step_size ``(n_steps,)`` of the moves along the path.

    Of the populations so far: their number, resamplings in all, and accepted, the sum of the mean
    acceptance probabilities of their moves. Of the calibration, steps of the flow's ODEs, offset of
    the log weights and systematic error of log Z; 0 without a flow.
    """

    step_size: Tensor
    populations: Tensor
    resamplings: Tensor
    accepted: Tensor
    steps: Tensor
    offset: Tensor
    systematic: Tensor


@dataclass(eq=False)
class Annealed(IndependentSampler):
    """A population is carried from a density q0 to exp(-S) / Z, along q0^(1-beta) exp(-beta S).

    beta grows from 0 to 1 in ``n_steps`` equal steps. Each one multiplies the weights by
    exp(d beta (-S - log q0)) and then moves every particle by a trajectory of HMC that leaves the
    density at the new beta invariant. The mean of w is an unbiased estimate of Z for any number of
    steps (Neal, physics/9803008; Jarzynski, cond-mat/9610209), and the ESS goes to 1 as they grow.

    q0 is a trained flow, or without one the Gaussian around the mean field, both modes of it; in
    phi^4 whose sites have two deep wells, between which no trajectory crosses, the sites by
    themselves, and the signs are drawn anew after each move, see
    :mod:`flowlat.samplers.dynamics.deep_wells`.
    The step sizes come from a pilot population in ``start``, which follows ``target_acceptance``
    along the path and is thrown away: in the ensemble they are fixed numbers, and weights exact.

    With ``resample_below`` particles are resampled (systematically) wherever the ESS of the
    weights since the last time falls below it; they go on with equal weights, and the mean weight
    so far multiplies all of them: log_weight contains it, and the mean of w stays unbiased
    (Del Moral, Doucet, Jasra, J. R. Stat. Soc. B 68 (2006) 411). Rows of one population are then
    related; populations, one a block, never are: what the rows are worth is for the latter to say,
    see :func:`flowlat.analysis.importance.ess_of_populations`.

    Args:
        flow: q0; None: the mean field. Its precision is that of log q0.
        population: particles of a block.
        n_steps: of beta.
        n_leapfrog: integrator steps a move.
        target_acceptance: of the moves, what step sizes are tuned to.
        resample_below: ESS in (0, 1]; None: never, all rows are independent.
        n_samples: of the run, as for ``Metropolis``.
        tolerance: systematic over statistical error of log Z, as for ``Metropolis``.

    Raises:
        ValueError: in ``start``, a flow whose log q is not its density.
    """

    lattice: Lattice
    action: Action
    flow: Flow | None = None
    population: Count = 256
    n_steps: Count = 1000
    n_leapfrog: Count = 2
    integrator: IntegratorName = "minimum_norm"
    target_acceptance: Probability = 0.85
    resample_below: Annotated[float, Field(gt=0, le=1)] | None = None
    n_samples: Rows = PLANNED
    tolerance: Positive = 0.1

    kind: ClassVar[Kind] = "weighted"

    def __post_init__(self) -> None:
        self.rows = self.population
        # a flow's density under other signs is not at hand
        self.site_signs = site_signs(self.lattice, self.action) if self.flow is None else None
        self.crosses = self.site_signs is not None
        self.density: Density
        if self.flow is not None:
            self.density = FlowDensity(self.flow)
        elif self.site_signs:
            self.density = SingleSites(self.lattice, self.site_signs.phi4)
        else:
            self.density = MeanField(self.lattice, self.action)
        self.trajectory = Trajectory(self.lattice, self.integrator)

    def start(self, generator: torch.Generator) -> AnnealedState:
        state = self.initial_state()
        if isinstance(self.density, FlowDensity):
            options = self.tolerance, self.n_samples, min(self.rows, PILOT)
            flow = self.density.flow
            found = calibrate(
                flow, self.action, generator, *options, inverse=True, least_ess=ANNEALED_ESS
            )
            state = state._replace(**found.columns())
        particles = self._draw(min(PILOT, self.rows), generator)
        step_size = first_step_size(self.lattice)
        schedule = []
        for i in range(-WARM_UP, self.n_steps):
            beta = max(i + 1, 0) / self.n_steps
            particles, acceptance = self._move(particles, beta, step_size, generator)
            step_size = adapted(step_size, acceptance, self.target_acceptance)
            if i >= 0:
                schedule.append(step_size)
        step_sizes = torch.tensor(schedule, dtype=torch.float64)
        return state._replace(step_size=step_sizes)

    def initial_state(self) -> AnnealedState:
        return AnnealedState(
            step_size=torch.zeros(self.n_steps, dtype=torch.float64),
            populations=torch.tensor(0),
            resamplings=torch.tensor(0),
            accepted=torch.tensor(0.0, dtype=torch.float64),
            steps=torch.tensor(0),
            offset=torch.tensor(0.0, dtype=torch.float64),
            systematic=torch.tensor(0.0, dtype=torch.float64),
        )

    def draw(self, state: AnnealedState, generator: torch.Generator) -> tuple[Block, Tensor]:
        if isinstance(self.density, FlowDensity):
            set_steps(self.density.flow, int(state.steps))
        particles = self._draw(self.rows, generator)
        log_w = torch.zeros_like(particles.action)
        common, accepted, resamplings = -state.offset, 0.0, 0
        for i, step_size in enumerate(state.step_size.tolist()):
            log_w = log_w + (particles.start - particles.action) / self.n_steps
            if self.resample_below and ess(log_w) < self.resample_below:
                common = common + log_mean(log_w)
                parents = systematic(log_w, generator)
                particles = Particles(*(column[parents] for column in particles))
                log_w = torch.zeros_like(log_w)
                resamplings += 1
            beta = (i + 1) / self.n_steps
            particles, acceptance = self._move(particles, beta, step_size, generator)
            accepted += acceptance / self.n_steps
        block = Block(particles.phi.contiguous(), particles.action, log_weight=log_w + common)
        return block, torch.tensor([resamplings, accepted], dtype=torch.float64)

    def join(
        self, state: AnnealedState, log_weight: Tensor, auxiliary: Tensor
    ) -> tuple[AnnealedState, None]:
        resamplings, accepted = auxiliary
        after = state._replace(
            populations=state.populations + 1,
            resamplings=state.resamplings + resamplings.long(),
            accepted=state.accepted + accepted,
        )
        return after, None

    def info(self, state: AnnealedState) -> dict[str, float]:
        """Acceptance of the moves; step size at the end of the path; resamplings a population."""
        populations = max(1, int(state.populations))
        return {
            "step_size": float(state.step_size[-1]),
            "n_leapfrog": self.n_leapfrog,
            "acceptance": float(state.accepted) / populations,
            "resamplings": int(state.resamplings) / populations,
        }

    def _draw(self, n: int, generator: torch.Generator) -> Particles:
        phi, log_q = self.density.sample(n, generator)
        phi = batch_fastest(phi)
        return Particles(phi, -log_q, self.action(phi))

    def _move(
        self, old: Particles, beta: float, step_size: float, generator: torch.Generator
    ) -> tuple[Particles, float]:
        """A trajectory of every particle at beta: (particles, mean acceptance probability)."""

        def force(phi: Tensor) -> Tensor:
            return self.density.force(phi).lerp_(self.action.force(phi), beta)

        phi, kinetic = self.trajectory(old.phi, force, step_size, self.n_leapfrog, generator)
        new = Particles(phi, self.density(phi), self.action(phi))
        change = torch.lerp(new.start - old.start, new.action - old.action, beta) + kinetic
        accepted, probability = metropolis_test(-change, generator)
        columns = (select(accepted, n, o) for n, o in zip(new, old, strict=True))
        particles = Particles(*columns)
        if self.site_signs:  # q0 is even in each of them
            phi = self.site_signs(particles.phi, generator, beta)
            particles = particles._replace(phi=phi, action=self.action(phi))
        return particles, probability.mean().item()


def systematic(log_w: Tensor, generator: torch.Generator) -> Tensor:
    """Indices ``(n,)`` of the survivors: particle i is taken n w_i / sum w times, on average.

    And never off that by one or more: the points (u + j) / n, with one uniform u, are looked up in
    the distribution function of the weights. Kitagawa, J. Comput. Graph. Stat. 5 (1996) 1.
    """
    n = len(log_w)
    edges = torch.softmax(log_w, 0).cumsum(0)
    u = torch.rand((), generator=generator, dtype=log_w.dtype, device=log_w.device)
    points = (u + torch.arange(n, dtype=log_w.dtype, device=log_w.device)) / n
    # the last edge is 1 but for rounding
    return torch.searchsorted(edges, points, right=True).clamp(max=n - 1)
