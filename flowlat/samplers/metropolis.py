"""Independence Metropolis-Hastings over proposals of a flow."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.flows.calibration import PILOT, PLANNED, calibrate, set_steps
from flowlat.flows.flow import Flow
from flowlat.samplers.base import Block, IndependentSampler, Kind
from flowlat.utils.limits import Count, Positive, Rows


class MetropolisState(NamedTuple):
    """log_weight ``(replicas,)`` of where the chains stand; ``started``: whether they do.

    Of the calibration, steps of the flow's ODEs, the offset of the log weights and the systematic
    error of log Z.
    """

    log_weight: Tensor
    started: Tensor
    steps: Tensor
    offset: Tensor
    systematic: Tensor


class Metropolis(IndependentSampler):
    """Proposals phi' ~ q of a flow, accepted with probability min(1, w'/w), log w = -S - log q.

    Albergo et al., arXiv:1904.12072, eq. (5). Proposal i belongs to replica i mod ``replicas``.

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
        return MetropolisState(none, torch.tensor(False), torch.tensor(0), zero, zero)

    def info(self, state: MetropolisState) -> dict[str, float]:
        """The steps of the flow's ODEs, if it has any."""
        steps = int(state.steps)
        return {"flow_steps": steps} if steps else {}

    def draw(self, state: MetropolisState, generator: torch.Generator) -> tuple[Block, Tensor]:
        set_steps(self.flow, int(state.steps))
        phi, log_q = self.flow.sample(self.rows, generator)
        action = self.action(phi.double())
        log_weight = -action - log_q.double() - state.offset.item()
        return Block(phi, action, log_weight), uniform(self.rows, generator)

    def join(
        self, state: MetropolisState, log_weight: Tensor, auxiliary: Tensor
    ) -> tuple[MetropolisState, Tensor]:
        current = state.log_weight if state.started else None
        accepted, current = decide(log_weight, current, self.replicas, auxiliary)
        return state._replace(log_weight=current, started=torch.tensor(True)), accepted


def independence_chain(
    log_w: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """One chain over all proposals; the first one starts it.

    A rejected proposal repeats the previous configuration: step i of the chain is proposal
    ``index[i]``.

    Args:
        log_w: log weights ``(n,)`` of the proposals, in their order.
        generator: of the uniform numbers.

    Returns:
        (index ``(n,)`` int64, accepted ``(n,)`` bool).

    Raises:
        ValueError: no proposals, or a log weight that is NaN or +inf.
    """
    if log_w.numel() == 0:
        raise ValueError("log_w is empty: a chain needs at least one proposal")
    accepted, _ = decide(log_w, None, 1, uniform(len(log_w), generator))
    return chain_index(accepted), accepted


def uniform(n: int, generator: torch.Generator | None) -> Tensor:
    """Numbers in [0, 1) in float64, ``(n,)``, where the generator is."""
    device = "cpu" if generator is None else generator.device
    return torch.rand(n, generator=generator, dtype=torch.float64, device=device)


def decide(
    log_w: Tensor, current: Tensor | None, replicas: int, u: Tensor
) -> tuple[Tensor, Tensor]:
    """Accept or reject proposals ``(n,)``, dealt out to the replicas in turn, in float64.

    ``current``: log weights ``(replicas,)`` of where the chains stand; None: the first proposal of
    each starts it. ``u``: a uniform number for each. Returns accepted ``(n,)`` and the new
    ``current``, on the CPU.
    """
    log_w = log_w.double().cpu()
    if torch.isnan(log_w).any() or (log_w == torch.inf).any():
        raise ValueError("log_w holds NaN or +inf: these proposals cannot be weighed")
    log_u = u.log().tolist()
    weights = log_w.tolist()
    accepted = [True] * len(weights)
    first, at = (replicas, weights[:replicas]) if current is None else (0, current.tolist())
    # a plain loop over Python floats: sequential by nature, a fraction of a second a million
    for i in range(first, len(weights)):
        if weights[i] - at[i % replicas] >= log_u[i]:
            at[i % replicas] = weights[i]
        else:
            accepted[i] = False
    return torch.tensor(accepted), torch.tensor(at, dtype=torch.float64)


def chain_index(accepted: Tensor, replicas: int = 1) -> Tensor:
    """The proposal at which its chain stands after each step, ``(n,)``, from the accept flags."""
    accepted = accepted.reshape(-1, replicas)
    steps = torch.arange(accepted.numel()).reshape(-1, replicas)
    return torch.where(accepted, steps, steps[:1]).cummax(0).values.flatten()


def longest_rejection_run(accepted: Tensor, replicas: int = 1) -> int:
    """The most proposals rejected in a row, in any of the chains."""
    steps = torch.arange(accepted.numel())
    return int((steps - chain_index(accepted, replicas)).max()) // replicas
