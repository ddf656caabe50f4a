from flowlat.callbacks.checkpoints import AtomicCheckpointIO, Best, Last
from flowlat.callbacks.evaluation import Evaluation
from flowlat.callbacks.progress import Progress

__all__ = ["AtomicCheckpointIO", "Best", "Evaluation", "Last", "Progress"]
