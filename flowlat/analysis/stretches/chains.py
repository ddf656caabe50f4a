"""Replicas of measurements of which a stretch is in memory at a time."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

#: numbers of all replicas together in a stretch
NUMBERS = 2**18
#: some steps of every replica, ``(steps,)`` or ``(steps, n)`` each
Stretch = list[np.ndarray]


class Chains:
    """Replicas of ``(steps,)`` or ``(steps, n)`` each, which may differ in length.

    Args:
        lengths: the steps of each.
        read: (start, stop) -> these steps of every replica; fewer, or none, of one that ends there.
    """

    def __init__(self, lengths: Sequence[int], read: Callable[[int, int], Stretch]):
        self.lengths = np.array(lengths)
        self.read = read

    @classmethod
    def of(cls, chains: "Sequence[np.ndarray] | Chains") -> "Chains":
        """Those of arrays; what are chains already stay as they are."""
        if isinstance(chains, Chains):
            return chains
        arrays = [np.asarray(chain, float) for chain in chains]
        return cls([len(array) for array in arrays], lambda a, b: [c[a:b] for c in arrays])

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row: () or (n,)."""
        return self.read(0, 1)[0].shape[1:]

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
        return max(1, NUMBERS // max(1, len(self.lengths) * math.prod(self.shape)))

    def stretches(self) -> Iterator[tuple[int, Stretch]]:
        """All of them in their order, with the step at which each begins."""
        size = self.stretch
        for start in range(0, self.steps, size):
            yield start, self.read(start, min(start + size, self.steps))

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> "Chains":
        """With a function of each stretch of a replica in its place, row by row."""
        return Chains(
            self.lengths.tolist(), lambda a, b: [function(part) for part in self.read(a, b)]
        )

    def part(self, start: int, stop: int) -> "Chains":
        """The steps from ``start`` to ``stop``."""
        lengths = np.clip(self.lengths, start, stop) - start
        return Chains(lengths.tolist(), lambda a, b: self.read(start + a, min(start + b, stop)))

    def mean(self) -> np.ndarray:
        """Over all steps of all replicas, ``()`` or ``(n,)``."""
        return self.sums(self.steps).sum((0, 1)) / self.rows

    def sums(self, size: int) -> np.ndarray:
        """Of every ``size`` steps of each replica, ``(replicas, pieces)`` or ``(..., n)``.

        Those of the last piece may be fewer, or none.
        """
        found = np.zeros((len(self.lengths), -(-self.steps // size), *self.shape))
        for start, stretch in self.stretches():
            for sums, part in zip(found, stretch, strict=True):
                add_pieces(sums, np.arange(start, start + len(part)) // size, part)
        return found

    def block_means(self, size: int) -> np.ndarray:
        """Means of the whole pieces of ``size`` steps, ``(pieces,)`` or ``(pieces, n)``, replica by
        replica."""
        sums = self.sums(size)
        return (
            np.concatenate([s[: n // size] for s, n in zip(sums, self.lengths, strict=True)]) / size
        )


def add_pieces(sums: np.ndarray, numbers: np.ndarray, rows: np.ndarray) -> None:
    """Add ``rows`` to the pieces that they belong to, whose ``numbers`` ascend."""
    if len(rows):
        begins = np.flatnonzero(np.diff(numbers, prepend=-1))
        sums[numbers[begins]] += np.add.reduceat(rows, begins, axis=0)
