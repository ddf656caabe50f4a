from flowlat.loggers.table import MetricsTable, read_metrics
from flowlat.loggers.wandb import Wandb

__all__ = ["MetricsTable", "Wandb", "read_metrics"]
