from flowlat.loggers.table import MetricsTable, read_metrics
from flowlat.loggers.wandb import wandb_logger

__all__ = ["MetricsTable", "read_metrics", "wandb_logger"]
