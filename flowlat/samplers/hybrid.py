"""Proposals of a flow and Hybrid Monte Carlo in one chain."""

from collections.abc import Callable

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.flows.flow import Flow
from flowlat.samplers.base import Block, Kind, Sampler, State
from flowlat.samplers.checks import require_count
from flowlat.samplers.flow_density import FlowDensity
from flowlat.samplers.hmc import HMC, collect
from flowlat.samplers.trajectory import metropolis_test, select


class Hybrid(Sampler):
    """For each row ``n_proposals`` proposals of a flow, then ``hmc.thin`` trajectories of HMC.

    A proposal phi' ~ q is accepted with probability min(1, w'/w), log w = -S - log q, with q of
    the current configuration evaluated afresh after HMC. Both updates leave exp(-S) invariant,
    hence so does the one after the other. The flow moves globally, from mode to mode; HMC mends
    what the flow gets wrong, so that a configuration of large weight cannot hold up its chain.

    Args:
        flow: its precision is that of log q.
        hmc: makes an ``HMC`` of lattice and action; replicas, thermalisation and blocks are its.
        n_proposals: of the flow in every replica, each with a test of its own.

    Raises:
        ValueError: n_proposals below 1.
    """

    kind: Kind = "chain"

    def __init__(self, flow: Flow, action: Action, hmc: Callable[..., HMC], n_proposals: int = 1):
        require_count(n_proposals=n_proposals)
        self.action = action
        self.density = FlowDensity(flow)
        self.hmc = hmc(lattice=flow.lattice, action=action)
        self.n_proposals = n_proposals
        self.replicas = self.hmc.replicas
        self.rows = self.hmc.rows

    def start(self, generator: torch.Generator) -> State:
        return {**self.blank(), **self.hmc.start(generator)}

    def blank(self) -> State:
        none = torch.tensor(0.0, dtype=torch.float64)
        return {**self.hmc.blank(), "proposals": torch.tensor(0), "flow_accepted": none}

    def step(self, state: State, generator: torch.Generator) -> tuple[State, Block]:
        return collect(self.advance, state, generator, self.hmc.block)

    def advance(self, state: State, generator: torch.Generator) -> tuple[State, Tensor]:
        """From a row to the next: (state, moved ``(replicas,)``)."""
        state, replaced = self._propose(state, generator)
        state, moved = self.hmc.advance(state, generator)
        return state, replaced | moved

    def info(self, state: State) -> dict[str, float]:
        """As of HMC, with the acceptance of either update."""
        info = self.hmc.info(state)
        return {
            "flow_acceptance": float(state["flow_accepted"]) / max(1, int(state["proposals"])),
            "hmc_acceptance": info.pop("acceptance"),
            **info,
        }

    def _propose(self, state: State, generator: torch.Generator) -> tuple[State, Tensor]:
        phi, action = state["phi"], state["action"]
        log_w = self.density(phi) - action
        replaced = torch.zeros(self.replicas, dtype=torch.bool, device=phi.device)
        accepted_sum = state["flow_accepted"]
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
        after = {
            "phi": phi,
            "action": action,
            "proposals": state["proposals"] + self.n_proposals,
            "flow_accepted": accepted_sum,
        }
        return {**state, **after}, replaced
