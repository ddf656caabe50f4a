"""Normalizing flows for lattice phi^4 theory in any number of dimensions."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowlat.config.build import build_flow
    from flowlat.config.checkpoint import load_family, load_flow
    from flowlat.config.compose import compose

try:
    __version__ = version("flowlat")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "unknown"

__all__ = ["__version__", "build_flow", "compose", "load_family", "load_flow"]

#: where the functions are. Imported when they are asked for: with PyTorch behind them they take
#: more than a second, for which ``python train.py --help`` does not wait
HOMES = {
    "build_flow": "flowlat.config.build",
    "compose": "flowlat.config.compose",
    "load_family": "flowlat.config.checkpoint",
    "load_flow": "flowlat.config.checkpoint",
}


def __getattr__(name: str) -> Any:
    """The functions of ``__all__`` (https://peps.python.org/pep-0562/)."""
    if name not in HOMES:
        raise AttributeError(f"module 'flowlat' has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)
