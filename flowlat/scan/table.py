"""scan.csv and curves.csv: a row for each point, and for each coupling of a curve."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flowlat.flows.domain import Point
from flowlat.scan.grid import name_of, volume_name
from flowlat.scan.reweighting import NAMES, Curve
from flowlat.utils.files import replacing
from flowlat.utils.formatting import number, with_error

#: what a line of the terminal shows: column, symbol
SHOWN = {
    "abs_magnetization": "|M|",
    "chi2": "chi2",
    "binder": "U4",
    "correlation_length": "xi",
    "log_z": "log Z",
}


def row_of(point: Point, summary: Mapping[str, Any]) -> dict[str, str]:
    """A point's row of scan.csv, from its summary.

    Averages are those of the weights where there are weights, else of the chain; tau_int is the
    largest of the chain's. What is not there is an empty cell.
    """
    averages = summary.get("reweighted") or summary["observables"]
    numbers = {name: entry for name, entry in averages.items() if isinstance(entry, dict)}
    for name in ("log_z", "free_energy_density"):
        numbers[name] = summary.get(name) or {"value": None, "error": None}
    row = {
        "shape": volume_name(point.shape),
        "m2": cell(point.m2),
        "lam": cell(point.lam),
        "n_samples": str(summary["n_samples"]),
    }
    for name, entry in numbers.items():
        row |= {name: cell(entry["value"]), f"{name}_err": cell(entry["error"])}
    entries = (e for e in summary["observables"].values() if isinstance(e, dict))
    times = [e["tau_int"] for e in entries if not math.isnan(e.get("tau_int") or math.nan)]
    figures = {name: summary.get(name) for name in ("ess", "pareto_k", "acceptance")}
    figures |= {"tau_int": max(times, default=None), "seconds": summary["seconds"]}
    return {
        **row,
        **{name: cell(value) for name, value in figures.items()},
        "warnings": str(len(summary["warnings"])),
        "folder": f"points/{name_of(point)}",
    }


def rows_of(curve: Curve) -> list[dict[str, str]]:
    """The rows of a curve in curves.csv: values and errors at every fine coupling."""
    point = curve.line[0]
    other = "m2" if curve.along == "lam" else "lam"
    rows = []
    errors = {name: curve.errors(name) for name in NAMES}
    for i, at in enumerate(curve.at):
        row = {"shape": volume_name(point.shape), other: cell(getattr(point, other))}
        row[curve.along] = cell(at)
        for name in NAMES:
            row |= {name: cell(curve.values[name][0, i]), f"{name}_err": cell(errors[name][i])}
        rows.append(row)
    return rows


def write_csv(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """All rows, whole or not at all."""
    with replacing(path, sync=False) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def line_of(row: Mapping[str, str], done: int, of: int) -> str:
    """A point as the terminal shows it."""
    parts = [f"[{done}/{of}] {row['shape']} m2={float(row['m2']):g} lam={float(row['lam']):g} "]
    for name, symbol in SHOWN.items():
        if row.get(name):
            value, error = float(row[name]), float(row[f"{name}_err"] or "nan")
            parts.append(f"{symbol} {with_error(value, error)}")
    parts += [f"ESS {float(row['ess']):.3f}"] if row["ess"] else [f"tau_int {row['tau_int'][:4]}"]
    parts.append(f"{float(row['seconds']):.1f} s")
    return "  ".join(parts)


def cell(value: float | None) -> str:
    """A number in full; nothing for None, NaN and infinity."""
    return number(value, ".12g")
