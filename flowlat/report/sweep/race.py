"""Who is first at 50 % acceptance, in epochs and in seconds."""

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from flowlat.report.page.blocks import Table
from flowlat.report.page.plots import series
from flowlat.report.sweep.groups import Group, by_theory
from flowlat.runs.folders import Trained

#: the acceptance that is asked for
TARGET = 0.5


class Reached(NamedTuple):
    """Epochs and seconds to the target, medians over the seeds (infinity where most never got
    there), the seeds that did, and the highest acceptance of any."""

    epochs: float
    seconds: float
    seeds: int
    best: float


def race(groups: Sequence[Group]) -> Table:
    """Epochs and seconds to the target, and who was first in each theory."""
    rows: list[list[str]] = []
    marked: set[int] = set()
    for name, members in by_theory(groups).items():
        times = {group.label: reached(group.runs) for group in members}
        firsts = {what: first(times, what) for what in ("epochs", "seconds")}
        for group in members:
            found = times[group.label]
            won = [what for what, winner in firsts.items() if winner == group.label]
            if won:
                marked.add(len(rows))
            rows.append(
                [
                    name,
                    group.label,
                    figure_of(found.epochs, "%.0f"),
                    figure_of(found.seconds, "%.1f"),
                    f"{found.seeds} of {len(group.runs)}",
                    f"{found.best:.3f}",
                    f"first in {' and '.join(won)}" if won else "",
                ]
            )
    head = ["theory", "runs", "epochs", "seconds", "seeds there", "highest acceptance", ""]
    caption = (
        f"To {TARGET:.0%} acceptance: the median over the seeds; a dash where most never got there."
    )
    return Table(head, rows, caption, frozenset(marked))


def first(times: dict[str, Reached], what: str) -> str:
    """The label of the smallest; empty if nobody was there."""
    finite = {label: t for label, t in times.items() if math.isfinite(getattr(t, what))}
    return min(finite, key=lambda label: getattr(finite[label], what), default="")


def figure_of(value: float, style: str) -> str:
    return style % value if math.isfinite(value) else "-"


def reached(runs: Sequence[Trained]) -> Reached:
    """When the acceptance of these runs first was at the target; epochs are counted from 1."""
    epochs, seconds, best = [], [], 0.0
    for run in runs:
        epoch, acceptance = series(run.rows, "acceptance", "epoch")
        _, clock = series(run.rows, "seconds", "epoch")
        there = np.flatnonzero(acceptance >= TARGET)
        best = max(best, acceptance.max())
        epochs.append(epoch[there[0]] + 1 if len(there) else math.inf)
        seconds.append(clock[int(epoch[there[0]])] if len(there) else math.inf)
    return Reached(median(epochs), median(seconds), int(np.isfinite(epochs).sum()), best)
