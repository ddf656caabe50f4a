"""What a flow is worth, measured after every epoch."""

import logging
import math
from pathlib import Path
from typing import Annotated, Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from pydantic import Field
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from flowlat.actions import Action
from flowlat.analysis.importance import ess, forward_quality, log_z
from flowlat.analysis.pareto import pareto_k
from flowlat.config.checkpoint import load_flow
from flowlat.ensemble.reference import read_reference
from flowlat.flows.density_check import check_density
from flowlat.flows.flow import Flow
from flowlat.flows.mirror import mirrored_log_z
from flowlat.flows.proposals import proposals
from flowlat.samplers import independence_chain
from flowlat.training.loggers import Wandb
from flowlat.utils.errors import DivergedError
from flowlat.utils.limits import NUMBERS, Count
from flowlat.utils.rng import Stream, generator

log = logging.getLogger(__name__)

#: fresh configurations of an evaluation, where no number of them is asked for
LEAST, MOST = 1024, 8192


class Evaluation(Callback):
    """ESS, acceptance of a Metropolis-Hastings chain and log Z on fresh samples of every rank.

    Logs ``ess``, ``pareto_k``, ``acceptance``, ``log_z``, ``log_z_err``; of an even action
    ``sign_balance``, <sign M> of the flow; with an ensemble ``forward_ess`` and
    ``forward_ess_err``, see :func:`flowlat.analysis.importance.forward_ess`.

    Args:
        n_samples: fresh configurations an evaluation, over all ranks; None: twice as many as were
            trained on since the one before, at the end twice those of the whole training; of a
            short training at least ``LEAST``, of a long one at most ``MOST``.
        batch_size: of the proposals.
        every_n_epochs: how often; the last epoch is always evaluated.
        ensemble: a run of sample.py of the same theory; ``n_samples`` of its configurations (None:
            ``MOST``), or all if there are fewer, are used every time.

    Raises:
        EnsembleError: an ensemble that cannot be read.
    """

    def __init__(
        self,
        seed: int,
        n_samples: Annotated[int, Field(ge=1, le=NUMBERS)] | None = None,
        batch_size: Annotated[int, Field(ge=1)] = 1024,
        every_n_epochs: Count = 1,
        ensemble: str | None = None,
    ):
        self.seed = seed
        self.n_samples = n_samples
        self.batch_size = batch_size
        self.every_n_epochs = every_n_epochs
        self.reference = read_reference(ensemble, n_samples or MOST) if ensemble else None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            log.info("ESS and acceptance of an epoch are of %d fresh samples", self.in_fit(trainer))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.due(trainer):
            return
        epoch = trainer.current_epoch
        module: Any = pl_module
        share = trainer.global_rank, trainer.world_size
        n = self.in_fit(trainer)
        try:
            measured, log_w, phi = self.measure(module.best_flow, module.action, n, epoch, *share)
            if not math.isfinite(measured["ess"]):
                raise ValueError("no log weight is finite")
        except ValueError as error:
            raise DivergedError(f"{error}, after epoch {epoch}: the training diverged") from error
        pl_module.log_dict(measured, rank_zero_only=False)
        for logger in trainer.loggers:
            if isinstance(logger, Wandb) and trainer.is_global_zero:  # which has the first batches
                logger.log_evaluation(log_w, phi[0], trainer.global_step)

    def due(self, trainer: Trainer) -> bool:
        """Whether this epoch is evaluated."""
        n_epochs = trainer.current_epoch + 1
        return not n_epochs % self.every_n_epochs or n_epochs == trainer.max_epochs

    def in_fit(self, trainer: Trainer) -> int:
        """Fresh configurations for the evaluation of an epoch."""
        data: Any = cast(Any, trainer).datamodule
        return self.size(data.batch_size * int(trainer.num_training_batches) * self.every_n_epochs)

    def size(self, trained: int) -> int:
        """Fresh configurations for an evaluation after so many that were trained on."""
        return self.n_samples or min(MOST, max(LEAST, 2 * trained))

    def final(
        self, checkpoint: Path, action: Action, device: torch.device, trained: int
    ) -> dict[str, Any]:
        """The same on fresh samples of a checkpoint, for the summary of a training.

        ``trained``: the configurations that it was trained on.
        Beyond that forward against inverse, and of an even action the flow against its mirror
        image: ``inverse``, and ``log_z_short`` with ``log_z_short_err``.
        """
        flow = load_flow(checkpoint).to(device)
        n = self.size(trained)
        measured, log_w, _ = self.measure(flow, action, n, epoch=None)
        measured["log_z_err"] = log_z(log_w, measured["pareto_k"])[1]
        stream = generator(self.seed, Stream.FINAL, device=device)
        inverse = check_density(flow, stream, batch_size=min(256, self.batch_size))
        if action.even:
            mirrored = mirrored_log_z(flow, action, stream, min(1024, max(256, self.batch_size)))
            measured |= {"log_z_short": mirrored.value, "log_z_short_err": mirrored.error}
        return {**measured, "inverse": inverse._asdict(), "n_samples": n}

    def measure(
        self,
        flow: Flow,
        action: Action,
        n: int,
        epoch: int | None,
        rank: int = 0,
        world_size: int = 1,
    ) -> tuple[dict[str, float], Tensor, Tensor]:
        """What is logged, of n samples; all log weights ``(n,)``; phi of this rank's last batch.

        ``epoch=None``: after the training, on samples that it never saw. Of several ranks all have
        to call it, and all get the figures of the log weights of all.

        Raises:
            ValueError: a log weight that is NaN or infinite.
        """
        stream, step = (Stream.FINAL, ()) if epoch is None else (Stream.EVALUATION, (epoch,))
        options = self.batch_size, self.seed
        share = rank, world_size
        phi = torch.empty(0, dtype=torch.float64, device=next(flow.parameters()).device)
        parts, signs = [phi], [phi]  # there may be no batch
        for batch in proposals(flow, action, n, *options, stream, epoch or 0, *share):
            phi = batch.phi
            parts.append(batch.log_weight)
            signs.append(phi.double().flatten(1).mean(1).sign())
        log_w = gather(torch.cat(parts), world_size)
        measured = quality(log_w, generator(self.seed, Stream.ACCEPT, *step))
        if action.even:
            measured["sign_balance"] = gather(torch.cat(signs), world_size).mean().item()
        if (reference := self.reference) is not None:
            own = gather(reference.log_weights(flow, action, *options, *share), world_size)
            measured |= forward_quality(own, reference.replicas)
        return measured, log_w, phi


def gather(log_w: Tensor, world_size: int) -> Tensor:
    """The log weights of all ranks, those of rank 0 first: figures of them are no averages."""
    return torch.cat(gather_all_tensors(log_w)) if world_size > 1 else log_w


def quality(log_w: Tensor, generator: torch.Generator | None = None) -> dict[str, float]:
    """ESS, Pareto k, log Z and the acceptance of a Metropolis-Hastings chain over these proposals.

    The first proposal starts the chain and is not a decision: without others the rate is NaN.

    Raises:
        ValueError: a log weight that is NaN or +inf.
    """
    _, accepted = independence_chain(log_w, generator)
    value, error = log_z(log_w)
    acceptance = accepted[1:].double().mean().item()
    return {
        "ess": ess(log_w),
        "pareto_k": pareto_k(log_w.cpu().numpy()),
        "acceptance": acceptance,
        "log_z": value,
        "log_z_err": error,
    }
