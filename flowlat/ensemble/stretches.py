"""The columns of an ensemble, of which a stretch is in memory at a time."""

import numpy as np

from flowlat.analysis.stretches.chains import Chains, Stretch
from flowlat.ensemble.reader import Ensemble

#: rows before a stretch that are read along with it
BACK = 2**12


def in_rows(ensemble: Ensemble, column: str) -> Chains:
    """All rows that count, as they were drawn, as one replica."""
    return Chains([len(ensemble)], lambda a, b: [ensemble.read(column, a, b)])


def along_chains(ensemble: Ensemble, column: str) -> Chains:
    """A column along the chains: what :meth:`Ensemble.chains` reads at once, of any column.

    EnsembleError for a weighted ensemble, which is no chain.
    """
    replicas = ensemble.replicas
    steps = len(ensemble) - ensemble.start_row

    def read(start: int, stop: int) -> Stretch:
        index = ensemble.chain_index(start * replicas, min(stop * replicas, steps))
        # what was held for long lies far back, most of the others close by
        first = max(int(index.min()), ensemble.start_row + start * replicas - BACK)
        values = rows_at(ensemble, column, index, first)
        return [values[r::replicas] for r in range(min(replicas, steps))]

    lengths = [len(range(r, steps, replicas)) for r in range(min(replicas, steps))]
    return Chains(lengths, read)


def rows_at(ensemble: Ensemble, column: str, index: np.ndarray, first: int) -> np.ndarray:
    """Some rows: those from ``first`` on at once, the few before it one by one."""
    values = ensemble.read(column, first, max(int(index.max()), first) + 1)
    found: np.ndarray = values[np.maximum(index - first, 0)]
    for row in np.unique(index[index < first]):
        found[index == row] = ensemble.read(column, row, row + 1)
    return found
