"""A chain whose proposals do not depend on where it stands: accept flags, and what they mean."""

import torch
from torch import Tensor


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
    return torch.tensor(accepted, dtype=torch.bool), torch.tensor(at, dtype=torch.float64)


def chain_index(accepted: Tensor, replicas: int = 1, starts: Tensor | None = None) -> Tensor:
    """The proposal at which its chain stands after each step, ``(n,)``, from the accept flags.

    ``starts``: where each replica stands before the first of them, ``(replicas,)``, counted from
    there, and so negative; None: its first proposal starts it.
    """
    accepted = accepted.reshape(-1, replicas)
    steps = torch.arange(accepted.numel()).reshape(-1, replicas)
    before = steps[:1] if starts is None else starts
    return torch.where(accepted, steps, before).cummax(0).values.flatten()


def longest_rejection_run(accepted: Tensor, replicas: int = 1) -> int:
    """The most proposals rejected in a row, in any of the chains."""
    steps = torch.arange(accepted.numel())
    return int((steps - chain_index(accepted, replicas)).max()) // replicas
