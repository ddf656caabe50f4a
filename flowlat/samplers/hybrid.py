"""Proposals of a flow and Hybrid Monte Carlo in one chain."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.flows.calibration import PILOT, PLANNED, calibrate, set_steps
from flowlat.flows.flow import Flow
from flowlat.samplers.accept import metropolis_test, select
from flowlat.samplers.base import MarkovChain
from flowlat.samplers.density import FlowDensity
from flowlat.samplers.dynamics.chain import TrajectoryState
from flowlat.samplers.hmc import HMC
from flowlat.utils.limits import Count, Positive, Rows


class HybridState(NamedTuple):
    """The fields of ``TrajectoryState``; then proposals of the flow in every replica, and
    flow_accepted, the sum of their mean acceptance probabilities; of the calibration, steps of the
    flow's ODEs, offset of its log weights and systematic error that their log Z would have."""

    phi: Tensor
    action: Tensor
    step_size: Tensor
    n_leapfrog: Tensor
    trajectories: Tensor
    accepted: Tensor
    proposals: Tensor
    flow_accepted: Tensor
    steps: Tensor
    offset: Tensor
    systematic: Tensor


class Hybrid(MarkovChain):
    """For each row ``n_proposals`` proposals of a flow, then ``hmc.thin`` trajectories of HMC.

    A proposal phi' ~ q is accepted with probability min(1, w'/w), log w = -S - log q, with log q of
    the proposal and of the current configuration, afresh after HMC, by the flow's inverse: the same
    density on both sides. Both updates leave exp(-S) invariant, hence so does the one after the
    other. The flow moves globally, from mode to mode; HMC mends what the flow gets wrong, so that a
    configuration of large weight cannot hold up its chain.

    Args:
        flow: its precision is that of log q.
        hmc: makes an ``HMC`` of lattice and action; replicas, thermalisation and blocks are its.
        n_proposals: of the flow in every replica, each with a test of its own.
        n_samples: of the run, as for ``Metropolis``.
        tolerance: systematic over statistical error of log Z, as for ``Metropolis``.

    Raises:
        ValueError: in ``start``, a flow whose log q is not its density.
    """

    def __init__(
        self,
        flow: Flow,
        action: Action,
        hmc: Callable[..., HMC],
        n_proposals: Count = 1,
        n_samples: Rows = PLANNED,
        tolerance: Positive = 0.1,
    ):
        self.action = action
        self.density = FlowDensity(flow)
        self.hmc = hmc(lattice=flow.lattice, action=action)
        self.n_proposals = n_proposals
        self.n_samples = n_samples
        self.tolerance = tolerance
        self.replicas = self.hmc.replicas
        self.rows = self.hmc.rows
        self.block = self.hmc.block
        self.crosses = self.hmc.crosses

    def start(self, generator: torch.Generator) -> HybridState:
        options = self.tolerance, self.n_samples, min(self.replicas, PILOT)
        found = calibrate(self.density.flow, self.action, generator, *options, inverse=True)
        columns = {**self.hmc.start(generator)._asdict(), **found.columns()}
        return self.initial_state()._replace(**columns)

    def initial_state(self) -> HybridState:
        zero, none = torch.tensor(0), torch.tensor(0.0, dtype=torch.float64)
        return HybridState(*self.hmc.initial_state(), zero, none, zero, none, none)

    def advance(self, state: HybridState, generator: torch.Generator) -> tuple[HybridState, Tensor]:
        state, replaced = self._propose(state, generator)
        after, moved = self.hmc.advance(of_hmc(state), generator)
        return state._replace(**after._asdict()), replaced | moved

    def info(self, state: HybridState) -> dict[str, float]:
        """As of HMC, with the acceptance of either update."""
        info = self.hmc.info(of_hmc(state))
        return {
            **({"flow_steps": int(state.steps)} if state.steps else {}),
            "flow_acceptance": float(state.flow_accepted) / max(1, int(state.proposals)),
            "hmc_acceptance": info.pop("acceptance"),
            **info,
        }

    def _propose(
        self, state: HybridState, generator: torch.Generator
    ) -> tuple[HybridState, Tensor]:
        set_steps(self.density.flow, int(state.steps))
        phi, action, accepted_sum = state.phi, state.action, state.flow_accepted
        log_w = self.density(phi) - action
        replaced = torch.zeros(self.replicas, dtype=torch.bool, device=phi.device)
        for _ in range(self.n_proposals):
            new, log_q = self.density.sample(self.replicas, generator)
            new_action = self.action(new)
            new_log_w = -new_action - log_q
            accepted, probability = metropolis_test(new_log_w - log_w, generator)
            phi = select(accepted, new, phi)
            action = select(accepted, new_action, action)
            log_w = select(accepted, new_log_w, log_w)
            replaced |= accepted
            accepted_sum = accepted_sum + probability.mean().item()
        proposals = state.proposals + self.n_proposals
        after = {"phi": phi, "action": action, "proposals": proposals}
        return state._replace(**after, flow_accepted=accepted_sum), replaced


def of_hmc(state: HybridState) -> TrajectoryState:
    """The part of a state that HMC goes on from."""
    return TrajectoryState(*state[: len(TrajectoryState._fields)])
