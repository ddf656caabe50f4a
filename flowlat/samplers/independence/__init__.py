"""Independence chains: the accept test, and where they start."""
