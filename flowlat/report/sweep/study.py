"""A multirun: acceptance and ESS of every architecture, and what became of the jobs."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from matplotlib.axes import Axes

from flowlat.report.page.blocks import Block, Picture, Section, Table, Text
from flowlat.report.page.plots import COLOURS, series, style, subplots
from flowlat.report.sweep.groups import Groups, grouped
from flowlat.report.sweep.time_to_target import TARGET, time_to_target
from flowlat.runs.folders import Trained
from flowlat.runs.jobs import read_jobs, varying
from flowlat.utils.errors import ConfigError

#: columns of metrics.csv that are drawn, with their words
SHOWN = {"acceptance": "acceptance", "ess": "ESS"}


def study(folder: Path) -> list[Section]:
    """Pictures and tables of a multirun of train.py.

    Raises:
        ConfigError: no job in the folder, or one of sample.py.
    """
    jobs = read_jobs(folder)
    if any(job.run and (job.run.path / "ensemble.h5").exists() for job in jobs):
        raise ConfigError(f"RUN={folder}: a multirun of sample.py: name its job folders")
    blocks: list[Block] = []
    if bad := [job for job in jobs if job.status]:
        text = f"{len(bad)} of {len(jobs)} jobs did not finish; what they have is in the curves."
        rows = [[str(job.number), job.changes(varying(jobs)), job.status] for job in bad]
        blocks += [Text(text, warning=True), Table(["job", "overrides", "status"], rows)]
    if groups := grouped(jobs):
        blocks += [time_to_target(groups), curves(groups, "epoch"), curves(groups, "seconds")]
    return [Section(f"Study {folder}", blocks)]


def curves(groups: Groups, against: str) -> Picture:
    """Acceptance and ESS of each group, a row of panels a theory."""
    labels = dict.fromkeys(label for group in groups.values() for label in group)
    numbers = {label: number for number, label in enumerate(labels)}
    height = 0.6 + 3.1 * len(groups)
    figure, panels = subplots(12, height, len(groups), len(SHOWN), squeeze=False)
    for (name, group), row in zip(groups.items(), panels, strict=True):
        for axes, key in zip(row, SHOWN, strict=True):
            for label, runs in group.items():
                legend = label if key == "ess" else ""  # one a row
                _band(axes, runs, key, against, numbers[label], legend)
            axes.set_title(name, fontsize=10)
            axes.set(xlabel=against, ylabel=SHOWN[key], ylim=(0, 1))
            axes.set_xlim(left=0)
        row[0].axhline(TARGET, color="black", lw=0.8, ls=":")
        row[1].legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    caption = (
        f"Acceptance and ESS against {against}: the median over the seeds, and the band "
        "from the lowest to the highest of them; a cross where a run broke off."
    )
    return Picture(f"study_{against}", figure, caption)


def _band(
    axes: Axes, runs: Sequence[Trained], key: str, against: str, number: int, label: str
) -> None:
    """Median, lowest and highest over the seeds that came so far; a cross where one broke off."""
    tables = [dict(zip(*series(run.rows, key, "epoch"), strict=True)) for run in runs]
    epochs = sorted({epoch for table in tables for epoch in table})
    values = [[table[epoch] for table in tables if epoch in table] for epoch in epochs]
    lowest, middle, highest = ([f(v) for v in values] for f in (min, median, max))
    at = pace(runs) if against == "seconds" else {epoch: epoch + 1 for epoch in epochs}
    x = [at[epoch] for epoch in epochs]
    colour, ls = style(number)["color"], "-" if number < len(COLOURS) else "--"
    axes.plot(x, middle, color=colour, ls=ls, lw=1.4, marker=".", ms=3, label=label)
    axes.fill_between(x, lowest, highest, color=colour, alpha=0.2, lw=0)
    for run, table in zip(runs, tables, strict=True):
        if run.summary is None:
            axes.plot(at[max(table)], table[max(table)], "x", color=colour)


def pace(runs: Sequence[Trained]) -> dict[float, float]:
    """Epoch -> seconds until its end, the sum of what every epoch took in the median of the seeds:
    it goes on where one of them broke off."""
    took: dict[float, list[float]] = {}
    for run in runs:
        epochs, seconds = series(run.rows, "seconds", "epoch")
        for epoch, duration in zip(epochs, np.diff(seconds, prepend=0.0), strict=True):
            took.setdefault(epoch, []).append(duration)
    ordered = sorted(took)
    return dict(zip(ordered, np.cumsum([median(took[e]) for e in ordered]), strict=True))
