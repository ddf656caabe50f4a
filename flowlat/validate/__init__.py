"""The whole chain of tools held against what is known: python -m flowlat.validate."""
