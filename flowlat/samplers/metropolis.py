"""Independence Metropolis-Hastings over proposals of a flow."""

import torch
from torch import Tensor


def independence_chain(
    log_w: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Accept proposal i with probability min(1, w_i / w_current), in float64.

    The first proposal starts the chain. A rejected proposal repeats the previous configuration:
    step i of the chain is proposal ``index[i]``. Albergo et al., arXiv:1904.12072, eq. (5).

    Args:
        log_w: log weights ``(n,)`` of the proposals, in their order.
        generator: of the uniform numbers, on the CPU.

    Returns:
        (index ``(n,)`` int64, accepted ``(n,)`` bool).

    Raises:
        ValueError: no proposals, or a log weight that is NaN or +inf.
    """
    n = log_w.numel()
    if n == 0:
        raise ValueError("log_w is empty: a chain needs at least one proposal")
    log_w = log_w.double().cpu()
    if torch.isnan(log_w).any() or (log_w == torch.inf).any():
        raise ValueError("log_w holds NaN or +inf: these proposals cannot be weighed")
    log_u = torch.rand(n, generator=generator, dtype=torch.float64).log()
    accepted = [True] * n
    current = -torch.inf
    # a plain loop over Python floats: sequential by nature, a tenth of a second a million
    for i, (weight, threshold) in enumerate(zip(log_w.tolist(), log_u.tolist(), strict=True)):
        if weight - current >= threshold or i == 0:
            current = weight
        else:
            accepted[i] = False
    flags = torch.tensor(accepted)
    return chain_index(flags), flags


def chain_index(accepted: Tensor) -> Tensor:
    """The proposal at which the chain stands after each step, from the accept flags."""
    steps = torch.arange(accepted.numel())
    return torch.where(accepted, steps, torch.zeros_like(steps)).cummax(0).values


def longest_rejection_run(accepted: Tensor) -> int:
    """The most proposals rejected in a row."""
    return int((torch.arange(accepted.numel()) - chain_index(accepted)).max())
