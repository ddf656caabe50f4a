"""Independence Metropolis-Hastings over proposals of a flow."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.flows.calibration import PILOT, PLANNED, calibrate, set_steps
from flowlat.flows.flow import Flow
from flowlat.samplers.base import Block, IndependentSampler, Kind
from flowlat.samplers.independence.chain import chain_index, decide, uniform
from flowlat.samplers.independence.starts import Starts, gather, no_starts
from flowlat.utils.limits import Count, Positive, Rows


class MetropolisState(NamedTuple):
    """log_weight ``(replicas,)`` of where the chains stand; ``started``: whether they do.

    Of the calibration, steps of the flow's ODEs, the offset of the log weights and the systematic
    error of log Z. Then the fields of ``Starts``.
    """

    log_weight: Tensor
    started: Tensor
    steps: Tensor
    offset: Tensor
    systematic: Tensor
    row: Tensor
    start_log_weight: Tensor
    log_sums: Tensor
    gathered: Tensor
    first: Tensor


class Metropolis(IndependentSampler):
    """Proposals phi' ~ q of a flow, accepted with probability min(1, w'/w), log w = -S - log q.

    Albergo et al., arXiv:1904.12072, eq. (5). Proposal i belongs to replica i mod ``replicas``.
    The first proposals thermalise the chains: when they are worth enough effective samples, each
    replica starts anew from one that is chosen by its weight, see
    :func:`flowlat.samplers.independence.starts.gather`.

    Args:
        batch_size: proposals drawn at once, the rows of a block.
        replicas: chains that share them out.
        n_samples: of the run, for whose error of log Z the flow is calibrated.
        tolerance: systematic error of log Z over its statistical error, see
            :func:`flowlat.flows.calibration.calibrate`.

    Raises:
        ValueError: batch_size is no multiple of replicas; in ``start``, a flow whose log q is not
            its density; in ``join``, a log weight that is NaN or +inf.
    """

    kind: ClassVar[Kind] = "proposals"

    def __init__(
        self,
        flow: Flow,
        batch_size: Count,
        action: Action,
        replicas: Count = 1,
        n_samples: Rows = PLANNED,
        tolerance: Positive = 0.1,
    ):
        if batch_size % replicas:
            raise ValueError(f"batch_size={batch_size}: must be a multiple of replicas={replicas}")
        self.flow = flow
        self.crosses = flow.crosses
        self.action = action
        self.rows = batch_size
        self.replicas = replicas
        self.n_samples = n_samples
        self.tolerance = tolerance

    def start(self, generator: torch.Generator) -> MetropolisState:
        found = calibrate(
            self.flow,
            self.action,
            generator,
            self.tolerance,
            self.n_samples,
            min(self.rows, PILOT),
        )
        return self.initial_state()._replace(**found.columns())

    def initial_state(self) -> MetropolisState:
        none = torch.full((self.replicas,), -torch.inf, dtype=torch.float64)
        zero = torch.tensor(0.0, dtype=torch.float64)
        begin = none, torch.tensor(False), torch.tensor(0), zero, zero
        return MetropolisState(*begin, *no_starts(self.replicas))

    def info(self, state: MetropolisState) -> dict[str, float]:
        """The steps of the flow's ODEs, if it has any."""
        steps = int(state.steps)
        return {"flow_steps": steps} if steps else {}

    def draw(self, state: MetropolisState, generator: torch.Generator) -> tuple[Block, Tensor]:
        set_steps(self.flow, int(state.steps))
        phi, log_q = self.flow.sample(self.rows, generator)
        action = self.action(phi.double())
        log_weight = -action - log_q.double() - state.offset.item()
        # a number for each accept test, and two for each start
        return Block(phi, action, log_weight), uniform(self.rows + 2 * self.replicas, generator)

    def join(
        self, state: MetropolisState, log_weight: Tensor, auxiliary: Tensor
    ) -> tuple[MetropolisState, Tensor]:
        u, numbers = auxiliary[: self.rows], auxiliary[self.rows :].reshape(2, -1)
        current = state.log_weight if state.started else None
        if state.first:
            accepted, current = decide(log_weight, current, self.replicas, u)
            return state._replace(log_weight=current), accepted
        before = starts_of(state)
        starts = gather(before, log_weight, numbers)
        n = int(starts.gathered - before.gathered)
        accepted, current = decide(log_weight[:n], current, self.replicas, u[:n])
        if starts.first:
            after = decide(log_weight[n:], starts.start_log_weight, self.replicas, u[n:])
            accepted, current = torch.cat([accepted, after[0]]), after[1]
        new = {"log_weight": current, "started": torch.tensor(True), **starts._asdict()}
        return state._replace(**new), accepted

    def chains(self, state: MetropolisState, accepted: Tensor, n: int) -> tuple[int, Tensor]:
        first, row = int(state.first), starts_of(state).row
        # those that were not thermalised are all there is, or the state is damaged
        if not 0 < first < n or first % self.replicas:
            return 0, chain_index(accepted, self.replicas)
        before = chain_index(accepted[:first], self.replicas)
        after = chain_index(accepted[first:], self.replicas, row - first) + first
        return first, torch.cat([before, after])


def starts_of(state: MetropolisState) -> Starts:
    """The part of a state that says where the chains start, on the CPU."""
    return Starts(*(tensor.cpu() for tensor in state[-len(Starts._fields) :]))
