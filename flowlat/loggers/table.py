"""metrics.csv: one row an epoch."""

import csv
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

COLUMNS = ("epoch", "step", "loss", "ess", "acceptance", "log_z", "log_z_err", "lr", "seconds")


class MetricsTable(Logger):
    """Appends a row at the end of every epoch. Rows of an epoch that is repeated, after a resume
    from an earlier checkpoint, are replaced."""

    def __init__(self, path: Path | str):
        super().__init__()
        self.path = Path(path)
        self._continuing = False

    @property
    def name(self) -> str:
        return "table"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run folder holds the config."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if "loss" not in metrics:
            return
        epoch = int(metrics["epoch"])
        if not self._continuing:
            self._start(epoch)
        row = {**{key: metrics.get(key, "") for key in COLUMNS}, "epoch": epoch, "step": step}
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, COLUMNS).writerow(row)

    def _start(self, epoch: int) -> None:
        earlier = [row for row in read_metrics(self.path) if int(row["epoch"]) < epoch]
        with self.path.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(earlier)
        self._continuing = True


def read_metrics(path: Path | str) -> list[dict[str, str]]:
    """The rows of a metrics.csv; none if there is no file."""
    if not Path(path).exists():
        return []
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))
