from flowlat.training.callbacks.checkpoints import AtomicCheckpointIO, Best, Last
from flowlat.training.callbacks.evaluation import Evaluation
from flowlat.training.callbacks.progress import Progress

__all__ = ["AtomicCheckpointIO", "Best", "Evaluation", "Last", "Progress"]
