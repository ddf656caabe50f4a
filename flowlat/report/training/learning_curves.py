"""Trainings: loss, log Z, ESS and acceptance against the step and against the time."""

from collections.abc import Sequence
from operator import itemgetter

from flowlat.report.page.alarms import alarms
from flowlat.report.page.blocks import Picture, Section, Table
from flowlat.report.page.plots import plot_loss, series, style, subplots
from flowlat.runs.folders import Trained
from flowlat.utils.errors import ConfigError
from flowlat.utils.formatting import measured, number

AXES = {"step": "training step", "seconds": "seconds"}


def training(runs: Sequence[Trained]) -> list[Section]:
    """Tables and pictures of one training, or of several over each other.

    Raises:
        ConfigError: a run that has not finished an epoch.
    """
    for run in runs:
        if not run.rows:
            raise ConfigError(f"RUN={run.path}: metrics.csv has no epoch yet")
    warned = [
        text
        for run in runs
        for text in alarms(run.summary or {}, str(run.path) if len(runs) > 1 else "")
    ]
    pictures = (learning(runs, against) for against in AXES)
    return [Section("Training", [*warned, reached(runs), *pictures])]


def reached(runs: Sequence[Trained]) -> Table:
    """What each run reached."""
    head = ["run", "epochs", "steps", "seconds", "ESS", "acceptance", "log Z", ""]
    rows = []
    for run in runs:
        last, final = run.rows[-1], run.summary
        seconds = final["seconds"] if final else float(last["seconds"])
        if not final:  # the epoch of the highest ESS, if one was evaluated
            epochs = [{k: float(v or "nan") for k, v in r.items()} for r in run.rows if r["ess"]]
            final = max(epochs, key=itemgetter("ess"), default={})
        log_z = {"value": final.get("log_z"), "error": final.get("log_z_err")}
        row = [str(run.path), str(int(last["epoch"]) + 1), last["step"], f"{seconds:.0f}"]
        row += [number(final.get(name), ".4f") or "-" for name in ("ess", "acceptance")]
        state = "" if run.summary else "not finished: its best epoch"
        rows.append([*row, measured(log_z) or "-", state])
    return Table(head, rows, "Measured on fresh samples of the best checkpoint.")


def learning(runs: Sequence[Trained], against: str) -> Picture:
    """Loss with -log Z, acceptance and ESS against a column of metrics.csv."""
    figure, (loss, ess, acceptance) = subplots(12, 3.6, columns=3)
    limits = []
    for index, run in enumerate(runs):
        colour = style(index)["color"]
        name = "" if len(runs) == 1 else run.path.name or str(run.path)
        limits.append(plot_loss(loss, run.rows, against, name, colour, ms=3))
        for axes, key in ((ess, "ess"), (acceptance, "acceptance")):
            axes.plot(*series(run.rows, key, against), color=colour, marker=".", ms=3)
    lowest, highest = zip(*limits, strict=True)
    loss.set_ylim(min(lowest), max(highest))
    for axes, label in ((ess, "ESS"), (acceptance, "acceptance")):
        axes.set(ylim=(0, 1), ylabel=label)
    for axes in figure.axes:
        axes.set_xlabel(AXES[against])
    more = "" if len(runs) == 1 else " Dashed: -log Z."
    caption = f"Loss, ESS and acceptance of the Metropolis chain against {AXES[against]}.{more}"
    return Picture(f"learning_{against}", figure, caption)
