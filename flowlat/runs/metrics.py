"""metrics.csv: one row an epoch."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowlat.runs.launcher import rank
from flowlat.utils.files import replacing

#: columns of integers
COUNTS = ("epoch", "step", "samples")
LOG_Z, FORWARD = ("log_z", "log_z_err"), ("forward_ess", "forward_ess_err")
COLUMNS = (*COUNTS, "loss", "ess", "pareto_k", "acceptance", *LOG_Z, *FORWARD, "lr", "seconds")


def write_metrics(path: Path, metrics: Mapping[str, Any]) -> None:
    """Add the row of an epoch, in place of its former one and of later ones after a resume.

    What was not measured is an empty cell. The file is written anew: whole, whatever happens. Rank
    0 does so.
    """
    if rank() > 0:
        return
    row = {key: float(metrics[key]) for key in COLUMNS if key in metrics}
    row |= {key: int(metrics[key]) for key in COUNTS if key in metrics}
    rows = [r for r in read_metrics(path) if int(r["epoch"]) < row["epoch"]]
    with replacing(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows([*rows, row])


def read_metrics(path: Path | str) -> list[dict[str, str]]:
    """The rows of a metrics.csv; none if there is no file."""
    if not Path(path).exists():
        return []
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))
