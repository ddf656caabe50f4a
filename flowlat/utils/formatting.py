"""Numbers with errors as one reads them."""

import math


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
