from flowlat.callbacks.checkpoints import AtomicCheckpointIO, checkpoints
from flowlat.callbacks.evaluation import Evaluation
from flowlat.callbacks.progress import Progress

__all__ = ["AtomicCheckpointIO", "Evaluation", "Progress", "checkpoints"]
