"""A line for every epoch of a training, or of the jobs of a multirun, that runs elsewhere."""

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile
from operator import eq
from pathlib import Path
from typing import Any

from flowlat.runs.folder.record import ERROR_FILE
from flowlat.runs.folders import epochs, read_config
from flowlat.runs.jobs import planned
from flowlat.utils.errors import ConfigError


def watch(folder: Path, interval: float = 1.0) -> Iterator[str]:
    """Lines, as the epochs come, of a training or of every job of a multirun, with its number; ends
    when all have left their summary, or failed. A search ends by Ctrl-C. ``interval``: seconds
    between two looks.

    Raises:
        ConfigError: no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"RUN={folder}: no such folder")
    multirun = (folder / "multirun.yaml").exists()
    expected = (len(planned(folder)) or math.inf) if multirun else 1
    shown: dict[Path, list[Any]] = {}
    while True:
        begun = (path.parent for path in folder.glob("*/.hydra") if path.parent.name.isdigit())
        runs = sorted(begun, key=lambda path: int(path.name)) if multirun else [folder]
        # looked for before the rows are: an epoch between the two is then not missed
        ended = len(runs) >= expected and all(map(finished, runs))
        for run in runs:
            now: list[Any] = [*epochs(run)]
            if (error := run / ERROR_FILE).exists():
                now.append("failed: " + error.read_text().partition("\n")[0])
            # a resumed run takes epochs back and writes them anew
            fresh = now[sum(takewhile(bool, map(eq, shown.get(run, []), now))) :]
            total = read_config(run).get("trainer", {}).get("max_epochs", "?") if fresh else "?"
            for event in fresh:
                text = event if isinstance(event, str) else line(event, total)
                yield f"job {run.name}  {text}" if multirun else text
            shown[run] = now
        if ended:
            return
        time.sleep(interval)


def finished(folder: Path) -> bool:
    """Whether there is an error, or a summary that is not of an earlier leg of the run."""
    if (folder / ERROR_FILE).exists():
        return True
    with suppress(FileNotFoundError):
        return (folder / "summary.json").stat().st_mtime >= (folder / "metrics.csv").stat().st_mtime
    return False


def line(row: dict[str, str], total: int | str) -> str:
    """ "epoch 12/500  loss -8.91  ESS 0.412  acceptance 0.553  log Z 9.28  14.2 s"."""
    parts = [f"epoch {int(row['epoch']) + 1}/{total}", f"loss {float(row['loss']):.4g}"]
    for key, label in (("ess", "ESS"), ("acceptance", "acceptance"), ("log_z", "log Z")):
        if row[key] != "":
            parts.append(f"{label} {float(row[key]):.4g}")
    return "  ".join([*parts, f"{float(row['seconds']):.1f} s"])
