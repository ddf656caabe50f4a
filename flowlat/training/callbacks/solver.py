"""As many Runge-Kutta steps as a velocity needs that becomes stiffer while it is trained."""

import logging
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from flowlat.bijections.continuous import solvers_of
from flowlat.flows.family import Family
from flowlat.flows.flow import Flow

log = logging.getLogger(__name__)

#: training steps between two looks at the error, and configurations looked at: a look costs about a
#: quarter of a step
EVERY, N_LOOKED_AT = 5, 16
#: mean |log q(phi) by the inverse - log q by the forward| beyond which a step more is taken
TOLERANCE = 0.1
MOST_STEPS = 48


class SolverSteps(Callback):
    """Watches the error of the solver of a continuous flow, and takes more steps where it grows.

    A path gradient takes d log q / d phi from the same equation, solved along with the field or
    backwards. Once the steps no longer solve it, that belongs to the density of another map than
    the one that is sampled, and the training follows an error that it makes larger: losses of 1e4
    within a hundred steps. The number of steps never falls, and is in the checkpoint.
    """

    def __init__(self) -> None:
        self._said = False

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % EVERY or batch_idx % trainer.accumulate_grad_batches:
            return
        module: Any = pl_module
        family = module.flow if isinstance(module.flow, Family) else None
        flow = module.flow if family is None else _working(family, batch)
        solvers = solvers_of(flow)
        if not solvers:
            return
        stiff = inverse_error(flow, batch[0][:N_LOOKED_AT]) > TOLERANCE
        most = max(solver.n_steps for solver in solvers)
        if not trainer.strategy.reduce_boolean_decision(stiff, all=False) or most >= MOST_STEPS:
            return
        for solver in solvers + (solvers_of(module.best_flow) if module.averaged else []):
            solver.n_steps += 1
        if family is not None:  # and of its average, with the next step
            family.keep(flow)
        say = log.debug if self._said else log.info
        say("the velocity becomes stiff: %d Runge-Kutta steps, and more where needed", most + 1)
        self._said = True


@torch.no_grad()
def _working(family: Family, batch: Any) -> Flow:
    """The flow of a family that this batch trains."""
    noise, couplings = batch
    m2, lam = couplings.tolist()
    return family.set(family.parameters_at(m2, lam), m2, lam, noise.shape[1:])


@torch.no_grad()
def inverse_error(flow: Flow, noise: Tensor) -> float:
    """Mean |log q(phi) by the inverse - log q by the forward| of the samples of this noise.

    Beyond what rounding does to numbers of the size of log q; without those that are not finite,
    which more steps do not cure.
    """
    phi, log_q = flow(noise)
    rounding = 4 * torch.finfo(log_q.dtype).eps * log_q.abs()
    error = (flow.log_prob(phi) - log_q).abs() - rounding
    return error[error.isfinite()].clamp_min(0).mean().nan_to_num().item()
