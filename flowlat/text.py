"""Numbers with errors, tables and paths as one reads them in a terminal."""

import math
from collections.abc import Sequence
from pathlib import Path


def with_error(value: float, error: float) -> str:
    """A value with its error in the last two digits: 9.2902(23)."""
    if not (math.isfinite(value) and math.isfinite(error) and error > 0):
        return f"{value:.6g}"
    error = float(f"{error:.1e}")  # 0.0996 is 0.10, and has a digit less
    digits = max(0, 1 - math.floor(math.log10(error)))
    last = round(error * 10**digits) if digits else round(error)
    # an error of a digit or more before the point is written out: 382.3(1.2)
    if digits and error >= 1:
        return f"{value:.{digits}f}({error:.{digits}f})"
    return f"{value:.{digits}f}({last})"


def measured(estimate: dict[str, float] | None) -> str:
    """A value with its error; nothing for None."""
    return with_error(estimate["value"], estimate["error"]) if estimate else ""


def number(value: float | None, spec: str) -> str:
    """A number as it is to be written; nothing for None or NaN."""
    return "" if value is None or math.isnan(value) else format(value, spec)


def fraction(value: float, error: float) -> str:
    """A fraction with its error; its order of magnitude alone where it is next to nothing."""
    return with_error(value, error) if value > 1e-3 else f"{value:.0e}"


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
