"""The picture of a family: ESS over its couplings, a panel for each lattice."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flowlat.report.page.plots import subplots

#: panels in a row
ACROSS = 4


def plot_family_map(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """ESS at points of (m2, lam), written beside each.

    Args:
        rows: with ``m2``, ``lam``, ``shape`` and ``ess``.
    """
    shapes = list(dict.fromkeys(row["shape"] for row in rows))
    across = min(ACROSS, len(shapes))
    down = math.ceil(len(shapes) / across)
    options = {"squeeze": False, "sharex": True, "sharey": True}
    figure, panels = subplots(3.2 * across + 0.8, 3 * down, down, across, **options)
    for axes, shape in zip(panels.flat, shapes, strict=False):
        here = [row for row in rows if row["shape"] == shape]
        columns = ([row[name] for row in here] for name in ("m2", "lam", "ess"))
        m2, lam, ess = columns
        points = axes.scatter(m2, lam, c=ess, vmin=0, vmax=1, cmap="viridis", s=45)
        for x, y, value in zip(m2, lam, ess, strict=True):
            axes.annotate(f"{value:.2f}", (x, y), (4, 4), textcoords="offset points", fontsize=7)
        axes.set_title(" x ".join(map(str, shape)))
        axes.margins(0.15)
        axes.grid(alpha=0.3)
    for axes in panels.flat[len(shapes) :]:
        axes.set_visible(False)
    for axes in panels.flat[max(0, len(shapes) - across) : len(shapes)]:  # the last of each column
        axes.set_xlabel("m2, lattice units")
        axes.tick_params(labelbottom=True)
    for axes in panels[:, 0]:
        axes.set_ylabel("lam, lattice units")
    figure.colorbar(points, ax=panels, label="ESS a sample")
    figure.savefig(path, dpi=120)
