"""What a family of flows is worth, over its domain, after every epoch."""

import csv
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from flowlat.actions import Action
from flowlat.config.checkpoint import load_family
from flowlat.flows.density_check import check_density
from flowlat.flows.domain import Point
from flowlat.flows.ess_map import STATE
from flowlat.flows.family import Family
from flowlat.lattice import Lattice
from flowlat.report.page.family_map import plot_family_map
from flowlat.training.callbacks.evaluation import MOST, Evaluation, gather
from flowlat.utils.errors import DivergedError
from flowlat.utils.files import replacing
from flowlat.utils.rng import Stream, generator

log = logging.getLogger(__name__)

#: what is measured at a point, in the order of the columns
FIGURES = ("ess", "pareto_k", "acceptance", "log_z", "log_z_err")
#: of the points that have less than what is logged
LOW = 0.1

Row = dict[str, Any]


class FamilyEvaluation(Callback):
    """ESS and the other figures of :class:`Evaluation` at the held-out points of a domain.

    ``ess`` and ``acceptance``, as they are logged, are what nine of ten points exceed: the worst of
    a hundred points is that of the unluckiest sample. All of them are in ``map.csv``, those of the
    last evaluation in ``map.png`` and, for ``sample.py``, in the checkpoint.

    Args:
        evaluation: what is done at each point; the noise is the same at all on one lattice.
        folder: of the run.
    """

    def __init__(self, evaluation: Evaluation, folder: Path):
        self.evaluation, self.folder = evaluation, folder
        self.n_samples, self.batch_size = evaluation.n_samples or MOST, evaluation.batch_size
        self.map = torch.empty(0, dtype=torch.float64)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            log.info(
                "ESS and acceptance of an epoch: nine tenths of %d points have more, of %d fresh "
                "samples each",
                len(cast(Any, pl_module).flow.domain.held_out()),
                self.n_samples,
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.evaluation.due(trainer):
            return
        module: Any = pl_module
        epoch, share = trainer.current_epoch, (trainer.global_rank, trainer.world_size)
        try:
            rows = self.measure(module.best_flow, module.action, epoch, *share)
        except ValueError as error:
            raise DivergedError(f"{error}, after epoch {epoch}: the training diverged") from error
        self.map = torch.tensor([[r["m2"], r["lam"], r["ess"], *r["shape"]] for r in rows]).double()
        pl_module.log_dict(low(rows), rank_zero_only=False)
        if trainer.is_global_zero:
            write_map(self.folder / "map.csv", rows, epoch)
            plot_family_map(rows, self.folder / "map.png")

    def measure(
        self,
        family: Family,
        action_at: Callable[[float, float], Action],
        epoch: int | None,
        rank: int = 0,
        world_size: int = 1,
    ) -> list[Row]:
        """A row for each held-out point; the ranks share them out, and all get all.

        ``epoch=None``: after the training, on noise that it never saw.

        Raises:
            ValueError: a log weight that is NaN or infinite.
        """
        points = family.domain.held_out()
        device = next(family.parameters()).device
        found = torch.zeros(len(points), len(FIGURES), dtype=torch.float64, device=device)
        for i in range(rank, len(points), world_size):
            m2, lam, shape = points[i]
            flow = family.at(m2, lam, Lattice(shape))
            measured, *_ = self.evaluation.measure(flow, action_at(m2, lam), self.n_samples, epoch)
            if not math.isfinite(measured["ess"]):
                raise ValueError(f"no log weight is finite at m2={m2:g}, lam={lam:g}")
            found[i] = torch.tensor([measured[name] for name in FIGURES])
        figures = gather(found, world_size).reshape(world_size, *found.shape).sum(0).tolist()
        mass = family.domain.curve.mass
        return [
            {**p._asdict(), "mass": mass(*p[:2]), **dict(zip(FIGURES, f, strict=True))}
            for p, f in zip(points, figures, strict=True)
        ]

    def final(
        self, checkpoint: Path, action_at: Any, device: torch.device, trained: int
    ) -> dict[str, Any]:
        """The same on fresh samples of a checkpoint, for the summary of a training; as many at each
        point, however many were ``trained`` on."""
        family = load_family(checkpoint).to(device)
        rows = self.measure(family, action_at, None)
        worst: Any = min(rows, key=lambda row: row["ess"])
        flow = family.at(worst["m2"], worst["lam"], Lattice(worst["shape"]))
        stream = generator(self.evaluation.seed, Stream.FINAL, device=device)
        inverse = check_density(flow, stream, batch_size=min(256, self.batch_size))
        figures = {**low(rows), "least_ess": worst["ess"], "map": rows}
        return {**figures, "inverse": inverse._asdict(), "n_samples": self.n_samples}

    @property
    def state_key(self) -> str:
        return STATE

    def state_dict(self) -> dict[str, Any]:
        return {"map": self.map}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.map = state_dict["map"]


def low(rows: Sequence[Row]) -> dict[str, float]:
    """Of ESS and acceptance what nine of ten points exceed."""
    columns = {n: torch.tensor([r[n] for r in rows]).double() for n in ("ess", "acceptance")}
    return {name: values.quantile(LOW).item() for name, values in columns.items()}


def write_map(path: Path, rows: Sequence[Row], epoch: int) -> None:
    """Add the rows of an epoch, in place of its former ones and of later ones after a resume."""
    columns = ("epoch", *Point._fields, "mass", *FIGURES)
    before = []
    if path.exists():
        with path.open(newline="") as file:
            before = [row for row in csv.DictReader(file) if int(row["epoch"]) < epoch]
    now = [{**r, "epoch": epoch, "shape": "x".join(map(str, r["shape"]))} for r in rows]
    with replacing(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows([*before, *now])
