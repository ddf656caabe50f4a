"""Numbers with errors, tables and paths as one reads them."""

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def with_error(value: float, error: float) -> str:
    """A value with its error in the last two digits: 9.2902(23); 9.29(?) where that is NaN."""
    if math.isfinite(value) and math.isnan(error):
        return f"{value:.4g}(?)"
    if not (math.isfinite(value) and math.isfinite(error) and error > 0):
        return f"{value:.6g}"
    error = float(f"{error:.1e}")  # 0.0996 is 0.10, and has a digit less
    digits = max(0, 1 - math.floor(math.log10(error)))
    # an error of a digit or more before the point is written out: 382.3(1.2)
    if digits and error >= 1:
        return f"{value:.{digits}f}({error:.{digits}f})"
    return f"{value:.{digits}f}({round(error * 10**digits)})"


def measured(estimate: Mapping[str, Any] | None) -> str:
    """An entry of summary.json with its error; nothing where it or its value is missing."""
    if not estimate or estimate["value"] is None:
        return ""
    error = estimate["error"]
    return with_error(estimate["value"], math.nan if error is None else error)


def number(value: float | None, spec: str) -> str:
    """A number as it is to be written; nothing for None, NaN and infinity."""
    return "" if value is None or not math.isfinite(value) else format(value, spec)


def fraction(value: float, error: float) -> str:
    """A fraction with its error; its order of magnitude alone where it is next to nothing."""
    return with_error(value, error) if value > 1e-3 else f"{value:.0e}"


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


def typed(key: str, value: str | Path) -> str:
    """An option of Hydra as it can be pasted into a shell, whatever is in its value.

    Quoted twice where it has to be: for Hydra, to which "=", "," and brackets are grammar, and for
    the shell.
    """
    text = shorten(str(value))
    if not re.fullmatch(r"[\w./+@%-]+", text, re.ASCII):
        text = re.sub(r"(\\*)\"", r'\1\1\\"', text)  # backslashes count before a quote only
        text = re.sub(r"(\\+)$", r"\1\1", text).replace("${", "\\${")
        text = f'"{text}"'
    return shlex.quote(f"{key}={text}")
