"""ESS and acceptance against CPU seconds, a column a dimension: colour the arch, line the phase."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from flowlat.report.page.plots import COLOURS, GREY, finish, subplots

#: name in conf/arch -> colour
ARCHS = dict(
    zip(
        ("continuous", "conv", "combconv_k1", "combconv_k2", "combconv_k3", "spline"),
        COLOURS,
        strict=False,
    )
)
LINES = {"symmetric": "-", "ordered": "--"}
PANELS = {"ess": "ESS", "acceptance": "acceptance"}


def plot_phases(found: Iterable[Mapping[str, dict[str, Any]]], path: Path) -> None:
    """Every row's training with the worst ESS, epoch by epoch, and a dot: the fresh samples.

    ``seconds`` of a curve are of the wall clock; they are scaled to the CPU seconds of the whole.
    """
    runs = [run for row in found if (run := worst(row))]
    figure, panels = subplots(13, 6, rows=2, columns=4, sharey=True, sharex="col")
    for run in runs:
        column = len(run["config"]["lattice"]["shape"]) - 1
        scale = run["cpu_seconds"] / run["seconds"]
        style = {"color": ARCHS[arch(run)], "ls": LINES.get(run["phase"], ":")}
        for axes, name in zip(panels[:, column], PANELS, strict=True):
            seconds = [scale * epoch["seconds"] for epoch in run["curve"]]
            axes.plot(seconds, [epoch[name] for epoch in run["curve"]], lw=1, **style)
            axes.plot(run["cpu_seconds"], run[name], marker="o", ms=3, color=style["color"])
    for column in range(4):
        panels[0, column].set(title=f"d = {column + 1}", xscale="log", ylim=(0, 1.02))
        axis = panels[1, column].xaxis
        axis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())
        panels[1, column].set_xlabel("CPU seconds of the training")
    for row, label in enumerate(PANELS.values()):
        panels[row, 0].set_ylabel(label)
    finish(figure).legend(handles=legend(runs), loc="outside right center", frameon=False)
    figure.savefig(path, dpi=120)


def worst(row: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
    """The run of the seed with the lowest ESS; None where all failed."""
    whole = [run for run in row.values() if "error" not in run]
    return min(whole, key=lambda run: run["ess"], default=None)


def arch(run: Mapping[str, Any]) -> str:
    """The option of conf/arch that a run was trained with."""
    names = [word.removeprefix("arch=") for word in run["overrides"].split() if "arch=" in word]
    return names[0] if names else "continuous"


def legend(runs: list[dict[str, Any]]) -> list[Line2D]:
    """An entry an arch, and one a phase, of those that were trained."""
    archs, phases = {arch(run) for run in runs}, {run["phase"] for run in runs}
    colours = [Line2D([], [], color=ARCHS[name], label=name) for name in ARCHS if name in archs]
    lines = [
        Line2D([], [], color=GREY, ls=ls, label=f"{name} phase")
        for name, ls in LINES.items()
        if name in phases
    ]
    return [*colours, *lines]
