"""The house style of pictures, and those that train.py and sample.py leave in their folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito: told apart by every kind of colour vision
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, "#E69F00", "#56B4E9", "#000000")
GREY = "#888888"
MARKERS = "osD^vP*"

#: drawn of a divergence: the mean log weight of an epoch is no better known
LEAST_DIVERGENCE = 1e-3

#: rows of metrics.csv
Rows = Sequence[Mapping[str, str]]


def plot_training(rows: Rows, path: Path) -> None:
    """KL divergence, and ESS with acceptance, against the step; from the rows of metrics.csv."""
    figure, (left, right) = subplots(9, 3.4, columns=2)
    plot_divergence(left, rows, color=BLUE, marker=".")
    curves = {"ess": BLUE, "acceptance": ORANGE, "forward_ess": GREEN}
    for name, color in curves.items():
        if any(row.get(name) for row in rows):
            label = name.replace("_", " ")
            plot_fraction(right, rows, name, color=color, marker=".", label=label)
    right.set_ylabel("fraction of the samples")
    for axes in (left, right):
        axes.set_xlabel("training step")
    finish(figure).savefig(path, dpi=120)


def plot_ensemble(
    magnetization: Sequence[np.ndarray],
    log_weight: np.ndarray | None,
    path: Path,
    weight: np.ndarray | None = None,
) -> None:
    """The start of the first replica's history of M, the distributions of M and of log weights.

    Args:
        magnetization: M along the chain, ``(steps,)`` of each replica; of weighted rows, ``(n,)``.
        log_weight: of proposals or weighted rows, ``(n,)``; None where there are none.
        weight: with which weighted rows, which have no history, count, ``(n,)``; None: a chain.
    """
    panels = 1 + (weight is None) + (log_weight is not None)
    figure, axes = subplots(4 * panels, 3.4, columns=panels, squeeze=False)
    left = list(axes[0])
    if weight is None:
        history = left.pop(0)
        history.plot(magnetization[0][:2000], color=BLUE, lw=0.5)
        which = ", replica 0" if len(magnetization) > 1 else ""
        history.set(xlabel=f"step of the chain{which}", ylabel="M, lattice units")
    modes = left.pop(0)
    everything = np.concatenate(magnetization)
    modes.hist(everything, bins=80, weights=weight, density=True, color=BLUE)
    modes.set(xlabel="M, lattice units", ylabel="density")
    if log_weight is not None:
        plot_log_weights(left.pop(0), log_weight)
    finish(figure).savefig(path, dpi=120)


def plot_divergence(axes: Axes, rows: Rows, against: str = "step", **options: Any) -> None:
    """The reverse KL divergence, loss + log Z, on a logarithmic axis.

    log Z is the last estimate of the training; the loss of a family has none, and is a divergence.
    """
    x, loss = series(rows, "loss", against)
    _, log_z = series(rows, "log_z", against)
    divergence = loss + (log_z[-1] if len(log_z) else 0.0)
    axes.plot(x, np.maximum(divergence, LEAST_DIVERGENCE), **options)
    axes.set(yscale="log", ylabel="reverse KL: loss + log Z")


def plot_fraction(axes: Axes, rows: Rows, name: str, against: str = "step", **options: Any) -> None:
    """A fraction on an axis that is logarithmic in what is missing to 1."""
    x, values = series(rows, name, against)
    axes.plot(x, np.clip(1 - values, 1e-6, 1), **options)
    axes.set_yscale("log")
    ticks = [1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 5e-3, 2e-3, 1e-3, 1e-4, 1e-5, 1e-6]
    axes.set_yticks(ticks, [f"{1 - tick:g}" for tick in ticks])
    axes.minorticks_off()
    lowest = min(np.asarray(line.get_ydata(), float).min(initial=1) for line in axes.lines)
    axes.set_ylim(1, 0.7 * lowest)


def plot_log_weights(axes: Axes, log_weight: np.ndarray) -> None:
    """The density of log w around its median, on a logarithmic axis."""
    # the mean of equal numbers differs from them by rounding, which is nothing to make bins of
    axes.hist(log_weight - np.median(log_weight), bins=80, density=True, color=GREEN)
    axes.set(yscale="log", xlabel="log w - median", ylabel="density")


def plot_points(
    axes: Axes, x: np.ndarray, values: np.ndarray, errors: np.ndarray, label: str, **options: Any
) -> None:
    """Markers with error bars, and no line between them."""
    axes.errorbar(x, values, errors, ms=4, ls="none", capsize=2, label=label, **options)


def subplots(
    width: float, height: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """A figure of so many inches, and its panels; outside pyplot: nothing global is touched."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def style(number: int) -> dict[str, Any]:
    """Colour and marker of one series among several."""
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


def finish(figure: Figure) -> Figure:
    """Grid, two spines, and a legend where something has a label and there is no legend yet."""
    for axes in figure.axes:
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend() is None and axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    return figure


def series(rows: Rows, name: str, against: str = "step") -> tuple[np.ndarray, np.ndarray]:
    """Step (or another column) and value of the epochs that have one."""
    pairs = [(float(row[against]), float(row[name])) for row in rows if row[name] != ""]
    steps, values = np.array(pairs).reshape(-1, 2).T
    return steps, values
