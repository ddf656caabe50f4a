"""Data of other programs in, and ensembles out: ``python -m flowlat.exchange``."""
