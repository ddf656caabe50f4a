"""The pictures of scans: observables along a coupling, or over two."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowlat.report.page.plots import finish, plot_points, style, subplots
from flowlat.runs.folders import Scanned

#: column -> as it is written at an axis
PANELS = {
    "abs_magnetization": "<|M|>",
    "chi2": "chi2 = V <M^2>",
    "connected_susceptibility": "chi_c",
    "binder": "U4",
    "correlation_length": "xi",
    "free_energy_density": "log Z / V",
}
#: panels in a row
ACROSS = 3


def plot_scan(scans: Sequence[Scanned], path: Path) -> None:
    """The picture of a scan, or of several over each other, into a file."""
    figure = maps(scans[0]) if len(scans) == 1 and is_map(scans[0]) else lines(scans)
    finish(figure).savefig(path, dpi=120)


def is_map(scan: Scanned) -> bool:
    """Whether both couplings vary."""
    return all(len({row[name] for row in scan.rows}) > 1 for name in ("m2", "lam"))


def lines(scans: Sequence[Scanned]) -> Figure:
    """A panel for each observable; points with error bars, and the reweighted curves between.

    A colour for each lattice (and value of the coupling that does not vary along the lines), in
    each of the scans.
    """
    names = [name for name in PANELS if any(has(scan, name) for scan in scans)]
    down = -(-len(names) // ACROSS)
    figure, panels = subplots(4 * ACROSS, 3.2 * down, down, ACROSS, squeeze=False)
    for axes, name in zip(panels.flat, names, strict=False):
        number = 0
        for letter, scan in lettered(scans):
            for key, rows in groups(scan.rows, scan.along).items():
                draw(axes, scan, name, (f"{letter} {key}").strip(), rows, key, number)
                number += 1
        axes.set(xlabel=f"{scans[0].along}, lattice units", ylabel=PANELS[name])
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    for axes in panels.flat[1 : len(names)]:  # one legend is enough
        axes.legend().set_visible(False)
    return figure


def draw(
    axes: Axes,
    scan: Scanned,
    name: str,
    label: str,
    rows: Sequence[Mapping[str, str]],
    key: str,
    number: int,
) -> None:
    """One line of a scan in one panel."""
    if not any(row.get(name) for row in rows):
        return
    looks, sign = style(number), -1 if name == "free_energy_density" else 1
    x, y, error = column(rows, scan.along), column(rows, name), column(rows, f"{name}_err")
    plot_points(axes, x, sign * y, np.nan_to_num(error), label, **looks)
    fine = groups(scan.curves, scan.along).get(key, [])
    if fine and name in fine[0]:
        x, y, error = (column(fine, c) for c in (scan.along, name, f"{name}_err"))
        axes.plot(x, y, color=looks["color"], lw=1)
        axes.fill_between(x, y - error, y + error, color=looks["color"], alpha=0.2, lw=0)


def maps(scan: Scanned) -> Figure:
    """Colours over (m2, lam): a row of panels for each lattice."""
    names = [name for name in PANELS if has(scan, name)]
    shapes = list(dict.fromkeys(row["shape"] for row in scan.rows))
    size = 2.9 * len(names), 2.7 * len(shapes)
    figure, panels = subplots(*size, len(shapes), len(names), squeeze=False)
    for (i, shape), (j, name) in product(enumerate(shapes), enumerate(names)):
        rows = [row for row in scan.rows if row["shape"] == shape]
        m2, lam = (np.unique(column(scan.rows, c)) for c in ("m2", "lam"))
        field = np.full((len(lam), len(m2)), np.nan)
        where = np.searchsorted(lam, column(rows, "lam")), np.searchsorted(m2, column(rows, "m2"))
        field[where] = column(rows, name) * (-1 if name == "free_energy_density" else 1)
        mesh = panels[i, j].pcolormesh(m2, lam, field, shading="nearest", cmap="viridis")
        figure.colorbar(mesh, ax=panels[i, j])
        panels[i, j].set(title=f"{PANELS[name]}, {shape}", xlabel="m2", ylabel="lam")
    return figure


def lettered(scans: Sequence[Scanned]) -> list[tuple[str, Scanned]]:
    """A letter for each of several."""
    letters = [""] if len(scans) == 1 else [chr(ord("A") + i) for i in range(len(scans))]
    return list(zip(letters, scans, strict=True))


def groups(rows: Sequence[Mapping[str, str]], along: str) -> dict[str, list[Mapping[str, str]]]:
    """The rows of each line, by lattice and by the other coupling where it has several values."""
    other = "m2" if along == "lam" else "lam"
    several = len({row[other] for row in rows}) > 1
    found: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        key = row["shape"] + (f" {other}={float(row[other]):g}" if several else "")
        found.setdefault(key, []).append(row)
    return found


def column(rows: Sequence[Mapping[str, str]], name: str) -> np.ndarray:
    """Numbers, NaN for empty cells."""
    return np.array([float(row.get(name) or "nan") for row in rows])


def has(scan: Scanned, name: str) -> bool:
    """Whether any point has a value."""
    return any(row.get(name) for row in scan.rows)
