"""Who is first at 50 % acceptance, in epochs and in seconds."""

import math
from collections.abc import Sequence
from statistics import median

import numpy as np

from flowlat.report.page.blocks import Table
from flowlat.report.page.plots import series
from flowlat.report.sweep.groups import Groups
from flowlat.runs.folders import Trained
from flowlat.utils.formatting import number

#: the acceptance that is asked for
TARGET = 0.5


def time_to_target(groups: Groups) -> Table:
    """Epochs and seconds to the target, and who was first in each theory."""
    rows: list[list[str]] = []
    marked = set()
    for theory, group in groups.items():
        times = {label: reached(runs) for label, runs in group.items()}
        highest = {label: highest_ess(runs) for label, runs in group.items()}
        first_epochs, first_seconds, *_ = map(min, zip(*times.values(), strict=True))
        for label, (epochs, seconds, seeds, best) in times.items():
            firsts = {"epochs": epochs == first_epochs, "seconds": seconds == first_seconds}
            won = " and ".join(w for w, first in firsts.items() if first and epochs < math.inf)
            if won:
                marked.add(len(rows))
            row = [theory, label, number(epochs, ".0f") or "-", number(seconds, ".1f") or "-"]
            row += [f"{seeds} of {len(group[label])}", f"{best:.3f}", f"{highest[label]:.3f}"]
            rows.append([*row, won and f"first in {won}"])
    head = ["theory", "runs", "epochs", "seconds", "seeds there"]
    head += ["highest acceptance", "highest ESS", ""]
    caption = (
        f"To {TARGET:.0%} acceptance: the median over the seeds; a dash where most never got there."
    )
    return Table(head, rows, caption, frozenset(marked))


def reached(runs: Sequence[Trained]) -> tuple[float, float, int, float]:
    """Epochs (from 1) and seconds until the acceptance is at the target, medians over the seeds
    (infinity where most never got there), how many seeds did, and the highest acceptance of any."""
    epochs, seconds, best = [], [], 0.0
    for run in runs:
        epoch, acceptance = series(run.rows, "acceptance", "epoch")
        _, clock = series(run.rows, "seconds", "epoch")
        there = epoch[acceptance >= TARGET]
        best = max(best, acceptance.max())
        epochs.append(there[0] + 1 if len(there) else math.inf)
        seconds.append(clock[int(there[0])] if len(there) else math.inf)
    return median(epochs), median(seconds), int(np.isfinite(epochs).sum()), best


def highest_ess(runs: Sequence[Trained]) -> float:
    """Of any epoch of any of them."""
    return max(series(run.rows, "ess", "epoch")[1].max() for run in runs)
