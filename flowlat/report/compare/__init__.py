"""Several ensembles of one theory side by side."""
