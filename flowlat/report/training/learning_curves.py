"""Trainings: loss, log Z, ESS and acceptance against the step and against the time."""

from collections.abc import Sequence
from operator import itemgetter

from flowlat.report.page.alarms import alarms
from flowlat.report.page.blocks import Picture, Section, Table
from flowlat.report.page.plots import plot_divergence, plot_fraction, style, subplots
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
    """KL divergence, ESS and acceptance against a column of metrics.csv."""
    figure, (divergence, ess, acceptance) = subplots(12, 3.6, columns=3)
    for index, run in enumerate(runs):
        options = {"color": style(index)["color"], "marker": ".", "ms": 3}
        label = "" if len(runs) == 1 else run.path.name or str(run.path)
        plot_divergence(divergence, run.rows, against, label=label, **options)
        for axes, name in ((ess, "ess"), (acceptance, "acceptance")):
            plot_fraction(axes, run.rows, name, against, **options)
    for axes, label in ((ess, "ESS"), (acceptance, "acceptance")):
        axes.set_ylabel(label)
    for axes in figure.axes:
        axes.set_xlabel(AXES[against])
    caption = (
        f"KL divergence, ESS and acceptance of the Metropolis chain against {AXES[against]}. "
        "The axes of fractions are logarithmic in what is missing to 1."
    )
    return Picture(f"learning_{against}", figure, caption)
