"""What importance weights are worth: ESS, and log Z with its errors. All in float64."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from flowlat.analysis.gamma_method import Estimate, gamma_method
from flowlat.analysis.jackknife import jackknife, leave_one_out, ratio
from flowlat.analysis.pareto import HEAVY, pareto_k

#: effective samples below which there is one
ONE = 1.5


class LogZ(NamedTuple):
    """log Z, its error, and by how much the value lies too high (the bias is not taken out)."""

    value: float
    error: float
    bias: float


def normalised(log_weight: np.ndarray, name: str = "log_weight") -> tuple[np.ndarray, float]:
    """Weights of maximum 1, and the log of the factor taken out.

    Raises:
        ValueError: a log weight is NaN or +infinity, or all weights are zero.
    """
    log_weight = np.asarray(log_weight, dtype=float)
    scale = log_weight.max()
    if not np.isfinite(scale):  # the maximum of anything and NaN is NaN
        raise ValueError(f"{name}: log weights of maximum {scale}")
    return np.exp(log_weight - scale), float(scale)


def is_one_sample(weight: np.ndarray, population: int) -> bool:
    """Whether weights are worth one population of rows, whose averages can have no error."""
    totals = np.add.reduceat(weight, np.arange(0, len(weight), population))
    return bool(totals.sum() ** 2 < ONE * (totals**2).sum())


def ess(log_w: Tensor) -> float:
    """Effective sample size per sample, (sum w)^2 / (N sum w^2), in (0, 1]."""
    log_w = log_w.double()
    log_ratio = 2 * torch.logsumexp(log_w, 0) - torch.logsumexp(2 * log_w, 0)
    return math.exp(log_ratio.item()) / log_w.numel()


def ess_of_populations(log_w: Tensor, population: int) -> float:
    """ESS per sample where the rows of a population, ``population`` in turn, are related.

    1 / (1 + P Var(m) / <m>^2) of the mean weights m of populations of P rows, which is
    :func:`ess` where rows are independent. Of resampled particles that one forgets what the
    resamplings cost: their descendants count as so many samples. m does not, since it is Z times
    all that the genealogy left of it: Lee and Whiteley, Biometrika 105 (2018) 609, who estimate
    Var(m) from the ancestors of one population; here there are several. NaN of one.
    """
    means = torch.logsumexp(log_w.double().reshape(-1, population), 1)
    n = len(means)
    relative_variance = (1 / ess(means) - 1) * n / (n - 1) if n > 1 else math.nan
    return 1 / (1 + population * relative_variance)


def log_mean(log_w: Tensor) -> Tensor:
    """log((1/N) sum w), ``()``: of independent samples of a flow, an estimate of log Z."""
    return torch.logsumexp(log_w.double(), 0) - math.log(len(log_w))


def log_z(log_w: Tensor, k: float = math.nan) -> tuple[float, float]:
    """log Z of independent rows, with the delta-method error sqrt((1/ESS - 1) / (N - 1)).

    The error is NaN where the weights are worth one sample, or their Pareto k is above 0.7: it
    would say less than 1, whatever is missing.

    Args:
        k: of the weights; NaN: not to be asked.
    """
    n, efficiency = len(log_w), ess(log_w)
    relative_variance = max(1 / efficiency - 1, 0.0)
    known = n * efficiency >= ONE and not k > HEAVY
    error = math.sqrt(relative_variance / (n - 1)) if known else math.nan
    return log_mean(log_w).item(), error


def log_z_estimate(log_weight: np.ndarray, population: int, k: float = math.nan) -> LogZ:
    """log Z of rows of which ``population`` each are related, with a jackknife's error and bias.

    The blocks are those of ``weighted_estimate``. Error and bias are NaN where the error of
    :func:`log_z` is, whose ``k`` it takes.

    Raises:
        ValueError: a log weight is NaN or +infinity, or all weights are zero.
    """
    weight, scale = normalised(log_weight, "log_z")
    columns = np.column_stack([np.ones_like(weight), weight])
    with np.errstate(divide="ignore"):  # all the weight in one block: no error
        others = np.log([ratio(sums) for sums in leave_one_out(columns, population)])[:, 0]
    value = np.log(weight.mean())
    error, bias = jackknife(value, others, "log_z")
    if is_one_sample(weight, population) or k > HEAVY:
        error = bias = np.float64(math.nan)
    return LogZ(float(value + scale), float(error), float(bias))


def forward_ess(log_w: Tensor, replicas: int) -> Estimate:
    """The ESS from configurations of p instead of q: 1 / (<w>_p <1/w>_p), in (0, 1].

    With w = exp(-S)/q, <w>_q = Z and <w^2>_q = Z <w>_p, so ESS = <w>_q^2 / <w^2>_q = Z / <w>_p, and
    1/Z = <1/w>_p. A flow that leaves out a mode of p has an ESS near 1 on its own samples; here the
    mode is among the configurations, with w beyond all bounds. Nicoli et al., arXiv:2302.14082.

    The error is that of the linear part, by the Gamma method. Where few configurations dominate
    <w>_p, the value is too high, and there is no error: Pareto k of w or 1/w above 0.7.

    Args:
        log_w: of chains of p, ``(n,)``; row i belongs to replica i mod ``replicas``.

    Raises:
        ValueError: a log weight that is NaN or -inf.
    """
    log_w = checked(log_w)
    mean, mean_inverse = log_mean(log_w), log_mean(-log_w)
    value = (-mean - mean_inverse).exp().item()
    if not value:  # a configuration out of the flow's reach
        return Estimate(0.0, math.nan, math.nan)
    relative = (log_w - mean).exp() + (-log_w - mean_inverse).exp()
    estimate = along_chains(value * (3 - relative), replicas, "forward ESS")
    return unless_heavy(estimate, log_w, -log_w)


def forward_log_z(log_w: Tensor, replicas: int) -> Estimate:
    """log Z = -log <1/w>_p, which a flow that leaves out a mode of p gets right all the same.

    Arguments and errors as for :func:`forward_ess`.
    """
    inverse = -checked(log_w)
    value = -log_mean(inverse)
    estimate = along_chains(1 - (inverse + value).exp(), replicas, "forward log Z")
    return unless_heavy(estimate._replace(value=value.item()), inverse)


def unless_heavy(estimate: Estimate, *log_w: Tensor) -> Estimate:
    """An estimate; without an error where weights that it averages have too heavy a tail."""
    heavy = any(pareto_k(one.numpy()) > HEAVY for one in log_w)
    return estimate._replace(error=math.nan) if heavy else estimate


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
