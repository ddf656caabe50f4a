"""Data of other programs in, and ensembles out: ``python -m flowlat.exchange``."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowlat.exchange.importing import import_ensemble

__all__ = ["import_ensemble"]


def __getattr__(name: str) -> Any:
    """``import_ensemble``, imported when it is asked for: see flowlat/__init__.py."""
    if name != "import_ensemble":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from flowlat.exchange.importing import import_ensemble

    return import_ensemble
