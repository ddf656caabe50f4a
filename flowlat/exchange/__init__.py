"""Data of other programs in, and ensembles out: ``python -m flowlat.exchange``."""

from flowlat.exchange.export import export
from flowlat.exchange.importing import import_ensemble

__all__ = ["export", "import_ensemble"]
