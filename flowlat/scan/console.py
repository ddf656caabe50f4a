"""What a scan prints at its end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowlat.analysis.trust import SUSPICIOUS
from flowlat.report.scan.sections import transition_rows
from flowlat.scan.grid import volume_name
from flowlat.utils.formatting import shorten, table

#: discretisation over statistical error of the check of log Z
COARSE = 1.0
#: what a scan leaves in its folder
FILES = ("scan.csv", "curves.csv", "scan.png", "summary.json", "index.json")


def scan_report(summary: Mapping[str, Any], folder: Path) -> str:
    """Peaks and crossings, the check of log Z, what cannot be trusted, and where everything is."""
    rows = [("", "", "", "height or U4"), *transition_rows(summary)]
    parts = [table(rows), check_line(summary["check"])]
    parts.append("\n".join(f"WARNING: {w['folder']}: {w['text']}" for w in summary["warnings"]))
    parts.append(f"In {shorten(str(folder))}: {', '.join(FILES)}, points/")
    return "\n" + "\n\n".join(part for part in parts if part)


def check_line(check: Mapping[str, Any] | None) -> str:
    """The worst pull of log Z against its derivative, and a warning of steps that are too coarse
    for it; nothing where there is no log Z."""
    if check is None:
        return ""
    coupling, off = check["coupling"], check["discretisation_over_error"]
    average = {"m2": "sum phi^2", "lam": "sum phi^4"}[coupling]
    line = (
        f"  d log Z / d {coupling} = -<{average}>: worst pull {check['worst_pull']:+.1f} of "
        f"{check['pairs']} pairs of neighbours ({interval(check)}); "
        f"discretisation at most {off:.2g} of the error"
    )
    if abs(check["worst_pull"]) > SUSPICIOUS:
        line = f"WARNING: {line.strip()}"
    if off > COARSE:
        line += (
            f"\nWARNING: the steps of action.{check['coarsest']['coupling']} are too coarse to "
            f"check log Z: its discretisation error is {off:.2g} times the statistical one "
            f"({interval(check['coarsest'])}); half the step makes it 32 times smaller"
        )
    return line


def interval(where: Mapping[str, Any]) -> str:
    """Lattice and couplings of a pair of neighbours."""
    coupling, (low, high) = where["coupling"], where["between"]
    return f"{volume_name(low['shape'])}, {coupling}={low[coupling]:g} to {high[coupling]:g}"
