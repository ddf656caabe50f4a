"""Flows that need no training: families in the package, and their flow at a theory."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowlat.families.point import flow_at
    from flowlat.families.shipped import checkpoints, shipped_family
    from flowlat.families.start import read_start, start_weights

__all__ = ["checkpoints", "flow_at", "read_start", "shipped_family", "start_weights"]

#: where the functions are: imported when they are asked for, see flowlat/__init__.py
HOMES = {
    "checkpoints": "shipped",
    "flow_at": "point",
    "read_start": "start",
    "shipped_family": "shipped",
    "start_weights": "start",
}


def __getattr__(name: str) -> Any:
    """The functions of ``__all__``."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
