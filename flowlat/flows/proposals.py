"""Proposals of a flow in batches, and what their weights say."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.flows.flow import Flow
from flowlat.utils.rng import Stream, generator


class Proposals(NamedTuple):
    """A batch drawn from a flow: phi ``(n, *shape)``, the rest ``(n,)`` in float64."""

    phi: Tensor
    log_weight: Tensor
    action: Tensor


@torch.no_grad()
def proposals(
    flow: Flow,
    action: Action,
    n_samples: int,
    batch_size: int,
    seed: int,
    stream: Stream,
    step: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Proposals]:
    """Draw ``n_samples`` configurations, each batch from a random stream of its own.

    The ranks share out the batches in order, and their numbers do not depend on how many ranks
    there are: the proposals of rank 0, then those of rank 1, ..., are those of one rank alone.
    """
    flow.eval()
    device = next(flow.parameters()).device
    for batch in torch.arange(-(-n_samples // batch_size)).tensor_split(world_size)[rank].tolist():
        n = min(batch_size, n_samples - batch * batch_size)
        phi, log_q = flow.sample(n, generator(seed, stream, step, batch, device=device))
        value = action(phi.double())
        yield Proposals(phi, -value - log_q.double(), value)
