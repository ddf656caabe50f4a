"""metrics.csv: one row an epoch."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from flowlat.utils.files import replacing

#: columns of integers
COUNTS = ("epoch", "step", "samples")
MEASURED = ("ess", "acceptance", "log_z", "log_z_err", "forward_ess", "forward_ess_err")
COLUMNS = (*COUNTS, "loss", *MEASURED, "lr", "seconds")


class MetricsTable:
    """The rows of a training. An epoch that is repeated, after a resume, replaces its row and those
    of later ones. The file is written anew each time: whole, whatever happens meanwhile."""

    def __init__(self, path: Path | str):
        self.path = Path(path)

    @rank_zero_only
    def write(self, metrics: Mapping[str, Any]) -> None:
        """Add the row of an epoch; what was not measured is an empty cell."""
        row = {key: float(metrics[key]) if key in metrics else "" for key in COLUMNS}
        row |= {key: int(metrics[key]) for key in COUNTS if key in metrics}
        rows = [r for r in read_metrics(self.path) if int(r["epoch"]) < int(metrics["epoch"])]
        with replacing(self.path) as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows([*rows, row])


def read_metrics(path: Path | str) -> list[dict[str, str]]:
    """The rows of a metrics.csv; none if there is no file."""
    if not Path(path).exists():
        return []
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))
