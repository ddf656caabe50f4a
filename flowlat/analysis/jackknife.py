"""Errors of weighted averages, by a jackknife over blocks of whole populations."""

import logging
import math

import numpy as np

from flowlat.analysis.stretches.chains import Chains, add_pieces

log = logging.getLogger(__name__)

#: blocks of a jackknife, where there are as many populations; at most twice as many
BLOCKS = 100


def block_starts(rows: int, population: int) -> np.ndarray:
    """The first row of each block: equal numbers of whole populations, the last with the rest."""
    populations = -(-rows // population)
    size = max(1, populations // BLOCKS)
    return np.arange(populations // size) * size * population


def leave_one_out(columns: np.ndarray, population: int) -> np.ndarray:
    """Sums of ``(rows, n)`` over all blocks but one, ``(blocks, n)``."""
    return all_but_one(np.add.reduceat(columns, block_starts(len(columns), population), axis=0))


def block_sums(rows: Chains, weight: np.ndarray, population: int) -> np.ndarray:
    """Sums of (w, w a) over each block, ``(blocks, 1 + n)``.

    Args:
        rows: a ``(rows,)`` or ``(rows, n)``, as chains of one replica.
        weight: w ``(rows,)``.
    """
    starts = block_starts(len(weight), population)
    found = np.zeros((len(starts), 1 + math.prod(rows.shape)))
    for start, (part,) in rows.stretches():
        w = weight[start : start + len(part)]
        columns = np.column_stack([w, (w * part.T).T.reshape(len(part), -1)])
        at = np.arange(start, start + len(part))
        add_pieces(found, np.searchsorted(starts, at, side="right") - 1, columns)
    return found


def all_but_one(blocks: np.ndarray) -> np.ndarray:
    """The sums of all blocks ``(blocks, n)`` but one, for each of them.

    From both ends, not total - block: what one block dominates would cancel to nothing.
    """
    none = np.zeros_like(blocks[:1])
    before = np.cumsum(np.concatenate([none, blocks[:-1]]), 0)
    after = np.cumsum(np.concatenate([none, blocks[:0:-1]]), 0)[::-1]
    return before + after


def ratio(sums: np.ndarray) -> np.ndarray:
    """Averages from sums of (w, w a); NaN without any weight."""
    with np.errstate(invalid="ignore"):
        return sums[1:] / sums[0]


def jackknife(value: np.ndarray, others: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Error and bias of ``value``, ``(...)``, from the values without one block, ``(blocks, ...)``.

    error^2 = (B-1) mean (f_b - mean f)^2, bias = (B-1) (mean f - f). Efron, The Jackknife (1982).
    A warning says where the bias is more than half the error.
    """
    n, mean = len(others), others.mean(0)
    with np.errstate(invalid="ignore"):
        error, bias = np.sqrt((n - 1) * ((others - mean) ** 2).mean(0)), (n - 1) * (mean - value)
    if (2 * np.abs(bias) > error).any():
        log.warning("%s: the bias of reweighting is of the order of the error", name)
    return error, bias
