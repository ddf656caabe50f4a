"""Tables and paths as one reads them in a terminal."""

from collections.abc import Sequence
from pathlib import Path


def in_brief(values: list[str], width: int = 72) -> str:
    """The first values of a vector, as many as fit into a line."""
    shown = len(values)
    while len(" ".join(values[:shown])) > width and shown > 1:
        shown -= 1
    rest = len(values) - shown
    return " ".join(values[:shown]) + (f" ... {rest} more" if rest else "")


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows in aligned columns, the first one flush left."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.ljust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def shorten(path: str) -> str:
    """A path as one would type it here: relative if it lies below the working folder."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
