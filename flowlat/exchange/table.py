"""Numbers in text files: columns between blanks, commas or semicolons, with or without names."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from flowlat.utils.errors import ConfigError

#: what begins a line that is no data
COMMENTS = ("#", "%", "!", "//")
#: lines that are turned into numbers at once
LINES = 4096


class Table:
    """The numbers of a text file, row by row.

    The delimiter is that of its first line: a semicolon, else a comma, else blanks. Empty lines and
    comments (``#``, ``%``, ``!``, ``//``) are left out. A first line without any number in it holds
    the names of the columns.

    Raises:
        ConfigError: a file that is no text or has no numbers; here, or in ``blocks``, in which a
            cell that is no number, or a row of another length, is named by its line.
    """

    def __init__(self, path: Path):
        self.path = path
        self.names: list[str] = []
        first = next(self._lines(), None)
        if first is None:
            raise ConfigError(f"SOURCE={path}: no numbers in it")
        text = first[1]
        self._delimiter = next((sign for sign in ";," if sign in text), None)
        cells = self._cells(text)
        self.columns = len(cells)
        if not any(map(is_number, cells)):
            self.names = [cell.strip("\"'") for cell in cells]
            if len(set(self.names)) < self.columns:
                raise ConfigError(f"SOURCE={path}: line {first[0]}: two columns of one name")

    def blocks(self) -> Iterator[np.ndarray]:
        """The rows ``(n, columns)`` float64, some thousands at a time."""
        lines = islice(self._lines(), 1 if self.names else 0, None)
        found = False
        for first in lines:
            found = True
            yield self._numbers([first, *islice(lines, LINES - 1)])
        if not found:
            raise ConfigError(f"SOURCE={self.path}: no numbers below the names of the columns")

    def read(self) -> np.ndarray:
        """All of it, ``(n, columns)``."""
        return np.concatenate(list(self.blocks()))

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Number and text of the lines that are data or names."""
        try:
            with self.path.open(encoding="utf-8-sig") as file:
                for number, line in enumerate(file, 1):
                    text = line.strip()
                    if text and not text.startswith(COMMENTS):
                        yield number, text
        except UnicodeDecodeError as error:
            raise ConfigError(f"SOURCE={self.path}: not a text of numbers") from error

    def _cells(self, text: str) -> list[str]:
        return [cell.strip() for cell in text.split(self._delimiter)]

    def _numbers(self, lines: list[tuple[int, str]]) -> np.ndarray:
        rows = [self._cells(text) for _, text in lines]
        for (number, _), row in zip(lines, rows, strict=True):
            if len(row) != self.columns:
                raise ConfigError(
                    f"SOURCE={self.path}: line {number} has {len(row)} columns, and not "
                    f"{self.columns}"
                )
        try:
            return np.array(rows, dtype=float)
        except ValueError as error:
            wrong = ((n, c) for (n, _), row in zip(lines, rows, strict=True) for c in row)
            number, cell = next(pair for pair in wrong if not is_number(pair[1]))
            raise ConfigError(
                f"SOURCE={self.path}: line {number}: '{cell}' is not a number"
            ) from error


def is_number(cell: str) -> bool:
    """Whether a cell is a real number, NaN and infinity among them."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
