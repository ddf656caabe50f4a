from flowlat.training.callbacks.checkpoints import AtomicCheckpointIO, Best, Last
from flowlat.training.callbacks.decline import Decline
from flowlat.training.callbacks.evaluation import Evaluation
from flowlat.training.callbacks.family_evaluation import FamilyEvaluation
from flowlat.training.callbacks.progress import Progress
from flowlat.training.callbacks.solver import SolverSteps
from flowlat.training.callbacks.steps import Steps

__all__ = [
    "AtomicCheckpointIO",
    "Best",
    "Decline",
    "Evaluation",
    "FamilyEvaluation",
    "Last",
    "Progress",
    "SolverSteps",
    "Steps",
]
