"""metrics.csv: one row an epoch."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowlat.runs.launcher import rank
from flowlat.utils.errors import ConfigError
from flowlat.utils.files import replacing

#: columns of integers
COUNTS = ("epoch", "step", "samples")
LOG_Z, FORWARD = ("log_z", "log_z_err"), ("forward_ess", "forward_ess_err")
COLUMNS = (*COUNTS, "loss", "ess", "pareto_k", "acceptance", *LOG_Z, *FORWARD, "lr", "seconds")


def write_metrics(path: Path, metrics: Mapping[str, Any]) -> None:
    """Add the row of an epoch, in place of its former one and of later ones after a resume.

    What was not measured is an empty cell. The file is written anew: whole, whatever happens. Rank
    0 does so.

    Raises:
        ConfigError: the file cannot be read.
    """
    if rank() > 0:
        return
    row = {key: float(metrics[key]) for key in COLUMNS if key in metrics}
    row |= {key: int(metrics[key]) for key in COUNTS if key in metrics}
    rows = [r for r in read_metrics(path) if epoch_of(path, r) < row["epoch"]]
    with replacing(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows([*rows, row])


def epoch_of(path: Path, row: Mapping[str, str]) -> int:
    """The epoch of a row; ConfigError where it has none."""
    try:
        return int(row["epoch"])
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, f"epoch={row.get('epoch')}") from error


def require_whole(path: Path) -> None:
    """Raise ConfigError where there are rows to which none can be added."""
    for row in read_metrics(path):
        epoch_of(path, row)


def read_metrics(path: Path | str) -> list[dict[str, str]]:
    """The rows of a metrics.csv; none if there is no file.

    Raises:
        ConfigError: it is no text, or a row has more cells than there are columns.
    """
    if not Path(path).exists():
        return []
    try:
        with Path(path).open(newline="") as file:
            rows = list(csv.DictReader(file))
    except (csv.Error, UnicodeDecodeError) as error:
        raise damaged(path, str(error)) from error
    for number, row in enumerate(rows, 1):
        if None in row:  # the key of what is too many
            raise damaged(path, f"row {number} has more cells than columns")
    return rows


def damaged(path: Path | str, why: str) -> ConfigError:
    """The error of a table that cannot be read."""
    return ConfigError(f"{path}: damaged ({why}); move it away: a training goes on without it")
