"""Normalizing flows for lattice phi^4 theory in any number of dimensions."""

from importlib.metadata import PackageNotFoundError, version

from flowlat.config.build import build_flow
from flowlat.config.checkpoint import load_flow
from flowlat.config.compose import compose

try:
    __version__ = version("flowlat")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "unknown"

__all__ = ["__version__", "build_flow", "compose", "load_flow"]
