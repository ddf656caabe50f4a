"""Trainings: loss, log Z, ESS and acceptance against the step and against the time."""

from collections.abc import Sequence
from typing import Any

from flowlat.report.page.blocks import Picture, Section, Table
from flowlat.report.page.plots import (
    BLUE,
    COLOURS,
    ORANGE,
    finish,
    new_figure,
    series,
    without_start,
)
from flowlat.runs.folders import Trained
from flowlat.utils.errors import ConfigError
from flowlat.utils.formatting import with_error

AXES = {"step": "training step", "seconds": "seconds"}


def training(runs: Sequence[Trained]) -> list[Section]:
    """Tables and pictures of one training, or of several over each other.

    Raises:
        ConfigError: a run that has not finished an epoch.
    """
    for run in runs:
        if not run.rows:
            raise ConfigError(f"RUN={run.path}: metrics.csv has no epoch yet")
    pictures = [learning(runs, against) for against in AXES]
    return [Section("Training", [figures(runs), *pictures])]


def figures(runs: Sequence[Trained]) -> Table:
    """What each run reached."""
    head = ["run", "epochs", "steps", "seconds", "ESS", "acceptance", "log Z", ""]
    rows = []
    for run in runs:
        last, summary = run.rows[-1], run.summary
        source: Any = summary or best(run)
        rows.append(
            [
                str(run.path),
                str(int(last["epoch"]) + 1),
                last["step"],
                f"{summary['seconds'] if summary else float(last['seconds']):.0f}",
                *(
                    f"{float(source[name]):.4f}" if source else "-"
                    for name in ("ess", "acceptance")
                ),
                with_error(float(source["log_z"]), float(source["log_z_err"])) if source else "-",
                "" if summary else "not finished: its best epoch",
            ]
        )
    return Table(head, rows, "Measured on fresh samples of the best checkpoint.")


def best(run: Trained) -> dict[str, str] | None:
    """The epoch of the highest ESS, None before the first evaluation."""
    evaluated = [row for row in run.rows if row["ess"] != ""]
    return max(evaluated, key=lambda row: float(row["ess"])) if evaluated else None


def learning(runs: Sequence[Trained], against: str) -> Picture:
    """Loss with -log Z, acceptance and ESS against a column of metrics.csv."""
    figure = new_figure(12, 3.6)
    loss, ess, acceptance = figure.subplots(1, 3)
    limits = []
    for number, run in enumerate(runs):
        single = len(runs) == 1
        colour = COLOURS[number % len(COLOURS)]
        name = run.path.name or str(run.path)
        x, y = series(run.rows, "loss", against)
        loss.plot(x, y, color=colour, marker=".", ms=3, label="loss" if single else name)
        limits.append(without_start(y))
        x, log_z = series(run.rows, "log_z", against)
        style = ORANGE if single else colour
        loss.plot(x, -log_z, color=style, ls="--", label="-log Z (estimate)" if single else None)
        for axes, key in ((ess, "ess"), (acceptance, "acceptance")):
            x, y = series(run.rows, key, against)
            axes.plot(x, y, color=BLUE if single else colour, marker=".", ms=3)
    loss.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    loss.set_ylabel("reverse KL, up to log Z")
    for axes, label in ((ess, "ESS"), (acceptance, "acceptance")):
        axes.set_ylim(0, 1)
        axes.set_ylabel(label)
    for axes in (loss, ess, acceptance):
        axes.set_xlabel(AXES[against])
        finish(axes)
    more = "" if len(runs) == 1 else " Dashed: -log Z."
    caption = f"Loss, ESS and acceptance of the Metropolis chain against {AXES[against]}.{more}"
    return Picture(f"learning_{against}", figure, caption)
