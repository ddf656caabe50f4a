"""What the families in the package reach, at theories that they were not trained at."""
