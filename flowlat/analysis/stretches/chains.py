"""Replicas of measurements of which a stretch is in memory at a time."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

#: numbers of all replicas together in a stretch
NUMBERS = 2**19
#: some steps of every replica, ``(steps,)`` or ``(steps, n)`` each
Stretch = list[np.ndarray]


class Chains:
    """Replicas of ``(steps,)`` or ``(steps, n)`` each, which may differ in length.

    Args:
        lengths: the steps of each.
        read: (start, stop) -> these steps of every replica; fewer, or none, of one that ends there.
        width: numbers that are read for a row, where they are more than it has.
    """

    def __init__(self, lengths: Sequence[int], read: Callable[[int, int], Stretch], width: int = 1):
        self.lengths = np.array(lengths)
        self.read = read
        self.shape: tuple[int, ...] = read(0, 1)[0].shape[1:]  # of a row: () or (n,)
        self.width = max(width, math.prod(self.shape))

    @classmethod
    def of(cls, chains: "Sequence[np.ndarray] | Chains") -> "Chains":
        """Those of arrays; what are chains already stay as they are."""
        if isinstance(chains, Chains):
            return chains
        arrays = [np.asarray(chain, float) for chain in chains]
        return cls([len(array) for array in arrays], lambda a, b: [c[a:b] for c in arrays])

    @property
    def rows(self) -> int:
        """The steps of all replicas together."""
        return int(self.lengths.sum())

    @property
    def steps(self) -> int:
        """Those of the longest replica."""
        return int(self.lengths.max())

    @property
    def stretch(self) -> int:
        """Steps of a stretch."""
        return max(1, NUMBERS // (len(self.lengths) * self.width))

    def stretches(self) -> Iterator[tuple[int, Stretch]]:
        """All of them in their order, with the step at which each begins."""
        size = self.stretch
        for start in range(0, self.steps, size):
            yield start, self.read(start, min(start + size, self.steps))

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> "Chains":
        """With a function of each stretch of a replica in its place, row by row."""
        lengths, read = self.lengths.tolist(), self.read
        return Chains(lengths, lambda a, b: [function(part) for part in read(a, b)], self.width)

    def part(self, start: int, stop: int) -> "Chains":
        """The steps from ``start`` to ``stop``."""
        lengths, read = (np.clip(self.lengths, start, stop) - start).tolist(), self.read
        return Chains(lengths, lambda a, b: read(start + a, min(start + b, stop)), self.width)

    def mean(self) -> np.ndarray:
        """Over all steps of all replicas, ``()`` or ``(n,)``."""
        return self.sums(self.steps).sum((0, 1)) / self.rows

    def sums(self, size: int) -> np.ndarray:
        """Of every ``size`` steps of each replica, ``(replicas, pieces)`` or ``(..., n)``.

        Those of the last piece may be fewer, or none.
        """
        found = np.zeros((len(self.lengths), -(-self.steps // size), *self.shape))
        for start, stretch in self.stretches():
            for which, parts in stacked(stretch):
                steps = np.arange(start, start + parts.shape[1])
                sums = found[which]
                add_pieces(sums.swapaxes(0, 1), steps // size, parts.swapaxes(0, 1))
                found[which] = sums
        return found

    def block_means(self, size: int) -> np.ndarray:
        """Means of the whole pieces of ``size`` steps, ``(pieces,)`` or ``(pieces, n)``, replica by
        replica."""
        sums = self.sums(size)
        return (
            np.concatenate([s[: n // size] for s, n in zip(sums, self.lengths, strict=True)]) / size
        )


def stacked(stretch: Stretch) -> Iterator[tuple[list[int], np.ndarray]]:
    """Replicas with equally many steps, if any, as one array ``(replicas, steps, ...)``, and which
    they are: numpy takes longer to begin than for a few steps of one."""
    lengths = [len(part) for part in stretch]
    for length in {*lengths} - {0}:
        which = [replica for replica, own in enumerate(lengths) if own == length]
        yield which, np.stack([stretch[replica] for replica in which])


def add_pieces(sums: np.ndarray, numbers: np.ndarray, rows: np.ndarray) -> None:
    """Add ``rows`` to the pieces that they belong to, whose ``numbers`` ascend."""
    begins = np.flatnonzero(np.diff(numbers, prepend=-1))
    sums[numbers[begins]] += np.add.reduceat(rows, begins, axis=0)
