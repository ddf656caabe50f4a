"""What a scan prints at its end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowlat.analysis.trust import SUSPICIOUS
from flowlat.report.scan.sections import transition_rows
from flowlat.utils.formatting import shorten, table

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
    """The worst pull of log Z against its derivative; nothing where there is no log Z."""
    if check is None:
        return ""
    coupling = check["coupling"]
    low, high = (point[coupling] for point in check["between"])
    shape = "x".join(map(str, check["between"][0]["shape"]))
    average = {"m2": "sum phi^2", "lam": "sum phi^4"}[coupling]
    line = (
        f"  d log Z / d {coupling} = -<{average}>: worst pull {check['worst_pull']:+.1f} of "
        f"{check['pairs']} pairs of neighbours ({shape}, {coupling}={low:g} to {high:g}); "
        f"discretisation at most {check['discretisation_over_error']:.1g} of the error"
    )
    if abs(check["worst_pull"]) > SUSPICIOUS:
        line = f"WARNING: {line.strip()}"
    return line
