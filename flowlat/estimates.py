"""Observables with their errors, from chains and from weighted ensembles."""

import logging
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from flowlat.observables import Observable
from flowlat.statistics import FEWEST, Estimate, gamma_methods

log = logging.getLogger(__name__)

#: blocks of a jackknife, where there are as many populations; at most twice as many
BLOCKS = 100
#: an error from fewer blocks than this is itself uncertain by 1/4 and more
FEWEST_BLOCKS = 10


class LogZ(NamedTuple):
    """log Z, its error, and by how much the value lies too high (the bias is not taken out)."""

    value: float
    error: float
    bias: float


def chain_estimate(
    observable: Observable, chains: Sequence[np.ndarray], name: str
) -> Estimate | list[Estimate]:
    """An observable over replicas of measurements, ``(steps,)`` or ``(steps, n)`` each.

    The value is f = derive(mean); the error is that of the linear part of f,
    sum_i (df/da_i) a_i, by the Gamma method (Wolff, hep-lat/0306017, sec. 3), the gradient by
    autograd. An element that does not exist (NaN), or has no gradient, has a NaN error.

    Raises:
        ValueError: a chain holds NaN or infinity.
    """
    everything = np.concatenate(chains).astype(float)
    if not np.isfinite(everything).all():
        raise ValueError(f"{name}: the chain holds NaN or infinity")
    means = everything.mean(0)
    value = evaluate(observable, means)
    slope = gradient(observable, means)
    exists = np.isfinite(value.ravel()) & np.isfinite(slope).all(1)
    tangents = [(chain - means).reshape(len(chain), -1) @ slope[exists].T for chain in chains]
    linear = [value.ravel()[exists] + tangent for tangent in tangents]
    known = iter(gamma_methods(linear, name) if exists.any() else [])
    found = zip(value.ravel().tolist(), exists, strict=True)
    estimates = [
        next(known)._replace(value=v) if there else Estimate(v, math.nan, math.nan)
        for v, there in found
    ]
    return shaped(estimates, value)


def weighted_estimate(
    observable: Observable,
    values: np.ndarray,
    log_weight: np.ndarray,
    population: int,
    name: str,
) -> Estimate | list[Estimate]:
    """An observable over weighted rows, ``(rows,)`` or ``(rows, n)``, of log weight ``(rows,)``.

    f = derive(sum w a / sum w), with the error of a jackknife over about 100 blocks of whole
    populations (``population`` rows each, 1: independent rows). tau_int is NaN: there is no chain.
    A warning says where the bias, by the jackknife, is more than half the error; whether weights
    are enough for errors at all, ``log_z_estimate`` says once for all observables.

    Raises:
        ValueError: a value or a log weight is NaN or +infinity, or all weights are zero.
    """
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: a measurement is NaN or infinity")
    weight, _ = normalised(log_weight, name)
    starts = block_starts(len(weight), population)
    columns = np.column_stack([weight, (weight * values.T).T])
    means = (ratio(sums).reshape(values.shape[1:]) for sums in leave_one_out(columns, starts))
    value = evaluate(observable, ratio(columns.sum(0)).reshape(values.shape[1:]))
    error, bias = jackknife(value, np.stack([evaluate(observable, mean) for mean in means]))
    check_bias(error, bias, name)
    found = zip(value.ravel().tolist(), error.ravel().tolist(), strict=True)
    return shaped([Estimate(v, e, math.nan) for v, e in found], value)


def log_z_estimate(log_weight: np.ndarray, population: int) -> LogZ:
    """log Z = log mean w with error and bias by the jackknife of ``weighted_estimate``.

    A warning says where no error of these weights can be trusted: fewer than 10 populations or 50
    effective samples.

    Raises:
        ValueError: a log weight is NaN or +infinity, or all weights are zero.
    """
    weight, scale = normalised(log_weight, "log_z")
    starts = block_starts(len(weight), population)
    columns = np.column_stack([np.ones_like(weight), weight])
    with np.errstate(divide="ignore"):  # all the weight in one block: no error
        others = np.log([ratio(sums) for sums in leave_one_out(columns, starts)])[:, 0]
    value = np.log(weight.mean())
    error, bias = jackknife(value, others)
    check_weights(weight, len(starts))
    check_bias(error, bias, "log_z")
    return LogZ(float(value + scale), float(error), float(bias))


def normalised(log_weight: np.ndarray, name: str) -> tuple[np.ndarray, float]:
    """Weights of maximum 1, and the log of the factor taken out."""
    log_weight = np.asarray(log_weight, dtype=float)
    scale = log_weight.max()
    if not np.isfinite(scale):  # the maximum of anything and NaN is NaN
        raise ValueError(f"{name}: log weights of maximum {scale}")
    return np.exp(log_weight - scale), float(scale)


def block_starts(rows: int, population: int) -> np.ndarray:
    """The first row of each block: equal numbers of whole populations, the last with the rest."""
    populations = -(-rows // population)
    size = max(1, populations // BLOCKS)
    return np.arange(populations // size) * size * population


def leave_one_out(columns: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums of ``(rows, n)`` over all blocks but one, ``(blocks, n)``.

    From both ends, not total - block: what one block dominates would cancel to nothing.
    """
    blocks = np.add.reduceat(columns, starts, axis=0)
    none = np.zeros_like(blocks[:1])
    before = np.cumsum(np.concatenate([none, blocks[:-1]]), 0)
    after = np.cumsum(np.concatenate([none, blocks[:0:-1]]), 0)[::-1]
    return before + after


def ratio(sums: np.ndarray) -> np.ndarray:
    """Averages from sums of (w, w a); NaN without any weight."""
    with np.errstate(invalid="ignore"):
        return sums[1:] / sums[0]


def jackknife(value: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Error and bias of ``value``, ``(...)``, from the values without one block, ``(blocks, ...)``.

    error^2 = (B-1) mean (f_b - mean f)^2, bias = (B-1) (mean f - f). Efron, The Jackknife (1982).
    """
    n, mean = len(others), others.mean(0)
    with np.errstate(invalid="ignore"):
        return np.sqrt((n - 1) * ((others - mean) ** 2).mean(0)), (n - 1) * (mean - value)


def check_weights(weight: np.ndarray, blocks: int) -> None:
    """Log a warning where there is too little to estimate an error from."""
    effective = weight.sum() ** 2 / (weight**2).sum()
    if blocks < FEWEST_BLOCKS:
        log.warning("%d population(s) of weighted configurations are few for errors", blocks)
    elif effective < FEWEST:
        log.warning("errors from %.3g effective samples mean little", effective)


def check_bias(error: np.ndarray, bias: np.ndarray, name: str) -> None:
    """Log a warning where reweighting is biased by more than half the error."""
    if (2 * np.abs(bias) > error).any():
        log.warning("%s: the bias of reweighting is of the order of the error", name)


def evaluate(observable: Observable, means: np.ndarray) -> np.ndarray:
    """derive(means), float64 ``()`` or ``(m,)``."""
    with torch.no_grad():
        return observable.derive(torch.as_tensor(means, dtype=torch.float64)).numpy()


def gradient(observable: Observable, means: np.ndarray) -> np.ndarray:
    """d derive / d means, float64 ``(m, n)``, 1 for an axis that is not there.

    Forward mode: backwards, one element that does not exist would make all gradients NaN.
    """
    point = torch.as_tensor(means, dtype=torch.float64)
    units = torch.eye(point.numel(), dtype=torch.float64).reshape(-1, *point.shape)
    columns = [torch.func.jvp(observable.derive, (point,), (unit,))[1] for unit in units]
    return torch.stack(columns, -1).reshape(columns[0].numel(), len(units)).numpy()


def shaped(estimates: list[Estimate], value: np.ndarray) -> Estimate | list[Estimate]:
    """A list for a vector, its one element for a number."""
    return estimates if value.ndim else estimates[0]
