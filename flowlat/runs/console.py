"""Tables and paths as one reads them in a terminal."""

from collections.abc import Sequence
from pathlib import Path


def in_brief(values: list[str], width: int = 72) -> str:
    """The first values of a vector, as many as fit into a line."""
    fitting = (n for n in range(len(values), 1, -1) if len(" ".join(values[:n])) <= width)
    shown = next(fitting, 1)
    rest = f" ... {len(values) - shown} more" if len(values) > shown else ""
    return " ".join(values[:shown]) + rest


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in aligned columns, two spaces before each."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def shorten(path: str) -> str:
    """A path as one would type it here: relative if it lies below the working folder."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path
