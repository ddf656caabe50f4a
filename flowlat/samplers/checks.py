"""Checks of constructor arguments: a ValueError names the parameter and its value."""

import math

from flowlat.utils.limits import COUNT, require_at_most


def require_count(**values: int) -> None:
    """Integers of at least 1, and no more than a sampler can mean."""
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name}={value}: must be at least 1")
        require_at_most(COUNT, "of them", value, f"{name}={value}")


def require_positive(**values: float) -> None:
    """Positive and finite numbers."""
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name}={value}: must be positive and finite")


def require_probability(**values: float) -> None:
    """Numbers between 0 and 1, both excluded."""
    for name, value in values.items():
        if not 0 < value < 1:
            raise ValueError(f"{name}={value}: must be between 0 and 1")
