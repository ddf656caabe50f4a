"""The mass in the decay of a two-point function: from pairs of neighbours, and from fits."""
