from flowlat.training.loggers.wandb import Wandb, finish_wandb

__all__ = ["Wandb", "finish_wandb"]
