"""Who is first at 50 % acceptance, in epochs and in seconds."""

import math
from collections.abc import Sequence
from operator import attrgetter
from statistics import median
from typing import NamedTuple

import numpy as np

from flowlat.report.page.blocks import Table
from flowlat.report.page.plots import series
from flowlat.report.sweep.groups import Groups
from flowlat.runs.folders import Trained
from flowlat.utils.formatting import number

#: the acceptance that is asked for
TARGET = 0.5


class Reached(NamedTuple):
    """Epochs and seconds to the target, medians over the seeds (infinity where most never got
    there), the seeds that did, and the highest acceptance of any."""

    epochs: float
    seconds: float
    seeds: int
    best: float


def time_to_target(groups: Groups) -> Table:
    """Epochs and seconds to the target, and who was first in each theory."""
    rows: list[list[str]] = []
    marked = set()
    for theory, group in groups.items():
        times = {label: reached(runs) for label, runs in group.items()}
        firsts = {w: min(times.values(), key=attrgetter(w)) for w in ("epochs", "seconds")}
        for label, time in times.items():
            won = [what for what, first in firsts.items() if first is time]
            won = [what for what in won if math.isfinite(getattr(time, what))]
            if won:
                marked.add(len(rows))
            row = [theory, label]
            row += [number(time.epochs, ".0f") or "-", number(time.seconds, ".1f") or "-"]
            row += [f"{time.seeds} of {len(group[label])}", f"{time.best:.3f}"]
            rows.append([*row, f"first in {' and '.join(won)}" if won else ""])
    head = ["theory", "runs", "epochs", "seconds", "seeds there", "highest acceptance", ""]
    caption = (
        f"To {TARGET:.0%} acceptance: the median over the seeds; a dash where most never got there."
    )
    return Table(head, rows, caption, frozenset(marked))


def reached(runs: Sequence[Trained]) -> Reached:
    """When the acceptance of these runs first was at the target; epochs are counted from 1."""
    epochs, seconds, best = [], [], 0.0
    for run in runs:
        epoch, acceptance = series(run.rows, "acceptance", "epoch")
        _, clock = series(run.rows, "seconds", "epoch")
        there = epoch[acceptance >= TARGET]
        best = max(best, acceptance.max())
        epochs.append(there[0] + 1 if len(there) else math.inf)
        seconds.append(clock[int(there[0])] if len(there) else math.inf)
    return Reached(median(epochs), median(seconds), int(np.isfinite(epochs).sum()), best)
