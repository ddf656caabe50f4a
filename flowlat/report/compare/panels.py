"""The pictures of a comparison: pulls, two-point functions, distributions of M."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from flowlat.report.ensemble.overview import SUSPICIOUS
from flowlat.report.page.blocks import Picture
from flowlat.report.page.plots import COLOURS, GREY, finish, new_figure, points
from flowlat.runs.folders import Sampled

MARKERS = "osD^vP*"


def pulls(found: Mapping[str, Mapping[str, float]]) -> Picture:
    """One row an observable, one marker a column; ``found``: label -> name -> pull."""
    names = list(dict.fromkeys(name for values in found.values() for name in values))
    figure = new_figure(7.5, 1.2 + 0.3 * max(len(names), 3))
    axes = figure.subplots()
    axes.axvspan(-1, 1, color=GREY, alpha=0.25, lw=0)
    axes.axvspan(-2, 2, color=GREY, alpha=0.15, lw=0)
    height = 0.5 / max(len(found) - 1, 1)
    for number, (label, values) in enumerate(found.items()):
        # beside each other, so that equal pulls can be told apart
        rows = [names.index(name) + (number - (len(found) - 1) / 2) * height for name in values]
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        found_pulls = list(values.values())
        axes.plot(found_pulls, rows, color=colour, marker=marker, ls="none", ms=5, label=label)
    reach = max(SUSPICIOUS, *(abs(p) for values in found.values() for p in values.values())) * 1.1
    axes.set_xlim(-reach, reach)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("pull, standard errors of the difference")
    finish(axes)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    caption = "Differences in units of their error; the bands are one and two of it."
    return Picture("pulls", figure, caption)


def ratios(exact: Mapping[str, Any], columns: Sequence[Any], reference: Any) -> Picture:
    """C(t) of every column over that of the reference, or over the exact one."""
    figure = new_figure(7.5, 3.6)
    axes = figure.subplots()
    base = exact if "two_point(0)" in exact else reference.values
    label = "the exact one" if base is exact else reference.label
    for number, column in enumerate(columns):
        if column.values is base:
            continue
        times = [t for t in range(len(base)) if _both(f"two_point({t})", column.values, base)]
        mine, other = (
            np.array([values[f"two_point({t})"] for t in times]).reshape(-1, 2).T
            for values in (column.values, base)
        )
        ratio = mine[0] / other[0]
        error = np.abs(ratio) * np.hypot(mine[1] / mine[0], other[1] / other[0])
        shifted = np.array(times) + 0.08 * (number - len(columns) / 2)
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        points(axes, shifted, ratio, error, colour, marker, column.label)
    axes.axhline(1, color=GREY, lw=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("t, lattice units")
    axes.set_ylabel(f"C(t) / C(t) of {label}")
    finish(axes)
    return Picture("two_point_ratio", figure, f"Two-point functions relative to {label}.")


def _both(name: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return name in first and name in second and first[name][0] != 0 and second[name][0] != 0


def modes(labels: Sequence[str], runs: Sequence[Sampled]) -> list[Picture]:
    """The distributions of M over each other, of those runs that measured it."""
    values = {
        label: (np.concatenate(run.series("magnetization")), run.weights())
        for label, run in zip(labels, runs, strict=True)
        if "magnetization" in run.ensemble.measured
    }
    if not values:
        return []
    reach = 1.05 * max(np.abs(m).max() for m, _ in values.values()) or 1.0
    figure = new_figure(7.5, 3.6)
    axes = figure.subplots()
    for number, (label, (m, weight)) in enumerate(values.items()):
        density, edges = np.histogram(
            m, bins=61, range=(-reach, reach), weights=weight, density=True
        )
        axes.stairs(density, edges, color=COLOURS[number % len(COLOURS)], lw=1.4, label=label)
    axes.set_xlabel("M, lattice units")
    axes.set_ylabel("density")
    finish(axes)
    return [Picture("magnetization", figure, "Distribution of M in each of the runs.")]
