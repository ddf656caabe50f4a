"""A line for every epoch of a training, or of the jobs of a multirun, that runs elsewhere."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import takewhile
from operator import eq
from pathlib import Path

from flowlat.runs.cli import ERROR_FILE
from flowlat.runs.folders import epochs, read_config
from flowlat.runs.jobs import planned
from flowlat.utils.errors import ConfigError

#: seconds between two looks
INTERVAL = 1.0


def watch(folder: Path, interval: float = INTERVAL) -> Iterator[str]:
    """Lines, as the epochs come, of a training or of every job of a multirun, with its number; ends
    when all have left their summary, or failed. A search ends by Ctrl-C.

    Raises:
        ConfigError: no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"RUN={folder}: no such folder")
    multirun = (folder / "multirun.yaml").exists()
    expected = (len(planned(folder)) or math.inf) if multirun else 1
    shown: dict[Path, list[dict[str, str] | str]] = {}
    while True:
        runs = jobs(folder) if multirun else [folder]
        # looked for before the rows are: an epoch between the two is then not missed
        ended = len(runs) >= expected and all(map(finished, runs))
        for run in runs:
            now = events(run)
            # a resumed run takes epochs back and writes them anew
            fresh = now[common(shown.get(run, []), now) :]
            total = read_config(run).get("trainer", {}).get("max_epochs", "?") if fresh else "?"
            for event in fresh:
                text = event if isinstance(event, str) else line(event, total)
                yield f"job {run.name}  {text}" if multirun else text
            shown[run] = now
        if ended:
            return
        time.sleep(interval)


def jobs(folder: Path) -> list[Path]:
    """The folders of the jobs of a multirun that have begun, by number."""
    begun = (path.parent for path in folder.glob("*/.hydra") if path.parent.name.isdigit())
    return sorted(begun, key=lambda path: int(path.name))


def events(run: Path) -> list[dict[str, str] | str]:
    """The epochs of a training until now, and why it failed, if it did."""
    error = run / ERROR_FILE
    failed = ["failed: " + error.read_text().partition("\n")[0]] if error.exists() else []
    return [*epochs(run), *failed]


def common(before: Sequence[object], now: Sequence[object]) -> int:
    """How many first elements are the same."""
    return len(list(takewhile(bool, map(eq, before, now))))


def finished(folder: Path) -> bool:
    """Whether there is an error, or a summary that is not of an earlier leg of the run."""
    if (folder / ERROR_FILE).exists():
        return True
    with suppress(FileNotFoundError):
        files = folder / "metrics.csv", folder / "summary.json"
        metrics, summary = (file.stat().st_mtime for file in files)
        return summary >= metrics
    return False


def line(row: dict[str, str], total: int | str) -> str:
    """ "epoch 12/500  loss -8.91  ESS 0.412  acceptance 0.553  log Z 9.28  14.2 s"."""
    parts = [f"epoch {int(row['epoch']) + 1}/{total}", f"loss {float(row['loss']):.4g}"]
    for key, label in (("ess", "ESS"), ("acceptance", "acceptance"), ("log_z", "log Z")):
        if row[key] != "":
            parts.append(f"{label} {float(row[key]):.4g}")
    return "  ".join([*parts, f"{float(row['seconds']):.1f} s"])
