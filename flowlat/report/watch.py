"""A line for every epoch of a training that runs elsewhere."""

import time
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path

from flowlat.errors import ConfigError
from flowlat.report.runs import epochs, read_config

#: seconds between two looks
INTERVAL = 1.0


def watch(folder: Path, interval: float = INTERVAL) -> Iterator[str]:
    """Lines, as the epochs come; ends when the run has left its summary.

    Raises:
        ConfigError: no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"RUN={folder}: no such folder")
    total = read_config(folder).get("trainer", {}).get("max_epochs", "?")
    shown: list[dict[str, str]] = []
    while True:
        # looked for before the rows are: an epoch between the two is then not missed
        ended = finished(folder)
        rows = epochs(folder)
        # a resumed run takes epochs back and writes them anew
        for row in rows[common(shown, rows) :]:
            yield line(row, total)
        shown = rows
        if ended:
            return
        time.sleep(interval)


def common(before: Sequence[object], now: Sequence[object]) -> int:
    """How many first elements are the same."""
    return sum(takewhile(bool, (a == b for a, b in zip(before, now, strict=False))))


def finished(folder: Path) -> bool:
    """Whether there is a summary, and not of an earlier leg of the run."""
    summary, metrics = folder / "summary.json", folder / "metrics.csv"
    return (
        summary.exists() and metrics.exists() and summary.stat().st_mtime >= metrics.stat().st_mtime
    )


def line(row: dict[str, str], total: int | str) -> str:
    """ "epoch 12/500  loss -8.91  ESS 0.412  acceptance 0.553  log Z 9.28  14.2 s"."""
    parts = [f"epoch {int(row['epoch']) + 1}/{total}", f"loss {float(row['loss']):.4g}"]
    for key, label in (("ess", "ESS"), ("acceptance", "acceptance"), ("log_z", "log Z")):
        if row[key] != "":
            parts.append(f"{label} {float(row[key]):.4g}")
    return "  ".join([*parts, f"{float(row['seconds']):.1f} s"])
