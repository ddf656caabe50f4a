"""What every program shares: command line, processes, signals, sweeps, run folders."""
