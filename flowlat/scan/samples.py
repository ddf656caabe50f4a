"""What of a point's ensemble serves for other couplings: weights, moments, independent blocks."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from flowlat.analysis.jackknife import block_starts
from flowlat.ensemble import Ensemble, open_ensemble
from flowlat.flows.domain import Point
from flowlat.scan.grid import volume

#: blocks of the chains, at the least: the error of an error from so many is a fifth
CHAIN_BLOCKS = 16
#: what is measured for this
NEEDED = ("magnetization", "phi2", "phi4")


class Samples(NamedTuple):
    """Rows that stand for exp(-S) at a point, sorted by blocks that are independent.

    log_weight ``(n,)``: log of exp(-S) over the density they were drawn from; of chains 0.
    conjugate: dS / d(m2) and dS / d(lam), sum_x phi^2 and sum_x phi^4, ``(n,)`` each.
    magnetization: M, ``(n,)``.
    population: so many rows in turn depend on each other, where they are weighted.
    starts: the first row of each block, ``(blocks,)``.
    has_log_z: the mean weight is an estimate of Z.
    """

    point: Point
    log_weight: np.ndarray
    conjugate: dict[str, np.ndarray]
    magnetization: np.ndarray
    population: int
    starts: np.ndarray
    has_log_z: bool


def read_samples(folder: Path, point: Point) -> Samples:
    """Those of the ensemble in a point's folder.

    Of proposals and weighted rows, blocks of whole populations. Of chains, the replicas, which
    know nothing of each other, and where there are fewer than ``CHAIN_BLOCKS``, stretches of them,
    which have to be many tau_int long.

    Raises:
        EnsembleError: it cannot be read.
    """
    with open_ensemble(folder) as ensemble:
        columns = [ensemble.read(f"measured/{name}") for name in NEEDED]
        log_weight = ensemble.log_weight
        if log_weight is None:
            columns = [column[ensemble.chain_index()] for column in columns]
            log_weight = np.zeros(len(ensemble))
            order, starts = blocks_of_chains(len(ensemble), ensemble.replicas)
        else:
            order, starts = blocks_of_rows(ensemble)
    m, phi2, phi4 = (column[order] for column in columns)
    conjugate = {"m2": volume(point) * phi2, "lam": volume(point) * phi4}
    has_log_z = ensemble.kind != "chain"
    return Samples(point, log_weight[order], conjugate, m, ensemble.population, starts, has_log_z)


def blocks_of_rows(ensemble: Ensemble) -> tuple[np.ndarray, np.ndarray]:
    """Order and starts of blocks of independent rows or populations."""
    return np.arange(len(ensemble)), block_starts(len(ensemble), ensemble.population)


def blocks_of_chains(n: int, replicas: int) -> tuple[np.ndarray, np.ndarray]:
    """Order and starts of blocks of chains; row i is a step of replica i mod ``replicas``."""
    rows, stretches = np.arange(n), max(1, -(-CHAIN_BLOCKS // replicas))
    steps = -(-n // replicas)
    block = (rows % replicas) * stretches + (rows // replicas) * stretches // steps
    order = np.argsort(block, kind="stable")
    return order, np.unique(block[order], return_index=True)[1]
