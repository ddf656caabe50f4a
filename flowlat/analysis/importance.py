"""What importance weights say of a flow: ESS and log Z. All in float64."""

import math

import torch
from torch import Tensor

from flowlat.analysis.gamma_method import Estimate, gamma_method


def ess(log_w: Tensor) -> float:
    """Effective sample size per sample, (sum w)^2 / (N sum w^2), in (0, 1]."""
    log_w = log_w.double()
    log_ratio = 2 * torch.logsumexp(log_w, 0) - torch.logsumexp(2 * log_w, 0)
    return math.exp(log_ratio.item()) / log_w.numel()


def log_z(log_w: Tensor) -> tuple[float, float]:
    """log Z = log mean w, with the delta-method error sqrt((1/ESS - 1) / (N - 1))."""
    n = log_w.numel()
    value = torch.logsumexp(log_w.double(), 0).item() - math.log(n)
    relative_variance = max(1 / ess(log_w) - 1, 0.0)
    return value, math.sqrt(relative_variance / (n - 1)) if n > 1 else math.nan


def forward_ess(log_w: Tensor, replicas: int) -> Estimate:
    """The ESS from configurations of p instead of q: 1 / (<w>_p <1/w>_p), in (0, 1].

    With w = exp(-S)/q, <w>_q = Z and <w^2>_q = Z <w>_p, so ESS = <w>_q^2 / <w^2>_q = Z / <w>_p, and
    1/Z = <1/w>_p. A flow that leaves out a mode of p has an ESS near 1 on its own samples; here the
    mode is among the configurations, with w beyond all bounds. Nicoli et al., arXiv:2302.14082.

    The error is that of the linear part, by the Gamma method; where few configurations dominate
    <w>_p, the value is too high and its error too small.

    Args:
        log_w: of chains of p, ``(n,)``; row i belongs to replica i mod ``replicas``.

    Raises:
        ValueError: a log weight that is NaN or -inf.
    """
    n, log_w = len(log_w), checked(log_w)
    log_mean = torch.logsumexp(log_w, 0) - math.log(n)
    log_mean_inverse = torch.logsumexp(-log_w, 0) - math.log(n)
    value = (-log_mean - log_mean_inverse).exp().item()
    if not value:  # a configuration out of the flow's reach
        return Estimate(0.0, math.nan, math.nan)
    relative = (log_w - log_mean).exp() + (-log_w - log_mean_inverse).exp()
    return along_chains(value * (3 - relative), replicas, "forward ESS")


def forward_log_z(log_w: Tensor, replicas: int) -> Estimate:
    """log Z = -log <1/w>_p, which a flow that leaves out a mode of p gets right all the same.

    Arguments and errors as for :func:`forward_ess`.
    """
    inverse = -checked(log_w)
    value = math.log(len(log_w)) - torch.logsumexp(inverse, 0)
    estimate = along_chains(1 - (inverse + value).exp(), replicas, "forward log Z")
    return estimate._replace(value=value.item())


def forward_quality(log_w: Tensor, replicas: int) -> dict[str, float]:
    """The forward ESS with its error, under the names by which they are logged."""
    found = forward_ess(log_w, replicas)
    return {"forward_ess": found.value, "forward_ess_err": found.error}


def checked(log_w: Tensor) -> Tensor:
    """Log weights of configurations of p, in float64 on the CPU."""
    log_w = log_w.double().cpu()
    if not (log_w > -math.inf).all():  # NaN too
        raise ValueError("a log weight of the ensemble is NaN or -infinity")
    return log_w


def along_chains(series: Tensor, replicas: int, name: str) -> Estimate:
    """The Gamma method for rows that are dealt out to the replicas in turn."""
    return gamma_method([series[r::replicas].numpy() for r in range(replicas)], name)
