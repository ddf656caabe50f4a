"""python -m flowlat.scan: one theory after another along its couplings, and what that shows."""
