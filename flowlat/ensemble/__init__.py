"""ensemble.h5: written block by block, read without trust, summarised."""

from flowlat.ensemble.reader import Ensemble, open_ensemble

__all__ = ["Ensemble", "open_ensemble"]
