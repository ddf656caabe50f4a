from flowlat.loggers.table import MetricsTable, read_metrics
from flowlat.loggers.wandb import Wandb, finish_wandb

__all__ = ["MetricsTable", "Wandb", "finish_wandb", "read_metrics"]
