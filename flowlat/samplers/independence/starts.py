"""Where independence chains start: proposals chosen by their weights, and not the first at hand."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

#: effective samples that the proposals have to be worth, for each replica and in all, before one
#: of them is chosen: two replicas then seldom start at the same one
PER_REPLICA, FEWEST = 4, 10


class Starts(NamedTuple):
    """``row`` and ``start_log_weight`` ``(replicas,)``: a proposal for each, chosen so far.

    ``log_sums`` ``(2,)``: of w and w^2 over the ``gathered`` rows among which they were chosen;
    ``first``: the row from which the chains run, 0 while there is none.
    """

    row: Tensor
    start_log_weight: Tensor
    log_sums: Tensor
    gathered: Tensor
    first: Tensor


def no_starts(replicas: int) -> Starts:
    """Before any proposal."""
    zero, none = torch.tensor(0), torch.full((replicas,), -torch.inf, dtype=torch.float64)
    sums = torch.full((2,), -torch.inf, dtype=torch.float64)
    return Starts(torch.zeros(replicas, dtype=torch.int64), none, sums, zero, zero)


def gather(starts: Starts, log_weight: Tensor, numbers: Tensor) -> Starts:
    """Take a block of proposals in, up to the row with which there are enough.

    Of all rows so far each replica has one with probability w / sum w, whatever the others have:
    of the block one is drawn so, which replaces that of the rows before with the probability that
    is the block's. With n rows, exp(-S) is missed by a factor of about 1 / (1 + w / (n <w>)); a
    chain of its own, of n / replicas steps, misses what has a w above n / replicas. Sampling and
    importance resampling: Rubin, Bayesian Statistics 3 (1988) 395.

    Enough: (sum w)^2 / sum w^2 is ``PER_REPLICA`` a replica, and ``FEWEST``. That depends on
    nothing but the weights, so a run that goes on has the starts of a longer one.

    Args:
        log_weight: ``(n,)``, n a multiple of the replicas.
        numbers: ``(2, replicas)``, in [0, 1).
    """
    replicas, log_w = len(starts.row), log_weight.double().cpu()
    factors = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    sums = torch.logaddexp(starts.log_sums[:, None], torch.logcumsumexp(factors * log_w, 1))
    effective = (2 * sums[0] - sums[1])[replicas - 1 :: replicas]
    enough = (effective >= math.log(max(FEWEST, PER_REPLICA * replicas))).nonzero()
    n = (int(enough[0]) + 1) * replicas if len(enough) else len(log_w)
    total = torch.logsumexp(log_w[:n], 0)
    below = (log_w[:n] - total).exp().cumsum(0)
    choice, replaces = numbers.cpu()
    drawn = torch.searchsorted(below, choice * below[-1], right=True).clamp(max=n - 1)
    replaced = replaces < (total - sums[0, n - 1]).exp()  # false of no weight at all, which is NaN
    gathered = starts.gathered + n
    return Starts(
        torch.where(replaced, starts.gathered + drawn, starts.row),
        torch.where(replaced, log_w[drawn], starts.start_log_weight),
        sums[:, n - 1],
        gathered,
        gathered if len(enough) else starts.first,
    )
