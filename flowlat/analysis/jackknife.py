"""Errors of weighted averages, by a jackknife over blocks of whole populations."""

import logging
from typing import NamedTuple

import numpy as np

from flowlat.analysis.gamma_method import FEWEST

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
