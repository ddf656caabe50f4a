"""The page of a scan, and of several side by side."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from flowlat.analysis.trust import SUSPICIOUS
from flowlat.report.page.blocks import Block, Picture, Section, Table, Text
from flowlat.report.page.plots import finish
from flowlat.report.scan.pictures import is_map, lettered, lines, maps
from flowlat.runs.folders import Scanned
from flowlat.utils.errors import ConfigError
from flowlat.utils.formatting import measured, number, with_error

#: of scan.csv, what the tables show: column -> head
SHOWN = {
    "abs_magnetization": "|M|",
    "chi2": "chi2",
    "connected_susceptibility": "chi_c",
    "binder": "U4",
    "correlation_length": "xi",
    "phi2": "<phi^2>",
    "phi4": "<phi^4>",
    "log_z": "log Z",
}
FIGURES = {"ess": ".3f", "acceptance": ".3f", "tau_int": ".2f", "seconds": ".1f"}


def scan_sections(scans: Sequence[Scanned]) -> list[Section]:
    """One scan, or a comparison of several.

    Raises:
        ConfigError: a scan without points, or no point that two of them share.
    """
    for scan in scans:
        if not scan.rows:
            raise ConfigError(f"RUN={scan.path}: no point of the scan is finished")
    several = len(scans) > 1
    sections = []
    if several:
        legend = [[letter, str(len(s.rows)), str(s.path)] for letter, s in lettered(scans)]
        head = ["", "points", "folder"]
        sections = [Section("Scans", [Table(head, legend)]), Section("Pulls", comparison(scans))]
    for letter, scan in lettered(scans):
        sections.append(Section(f"Points {letter}".strip(), [points(scan)]))
        if scan.summary and (rows := transition_rows(scan.summary)):
            table = Table(["", "", "at", "height or U4"], rows, "Peaks of chi_c, crossings of U4.")
            sections.append(Section(f"Transitions {letter}".strip(), [table]))
    figure = maps(scans[0]) if not several and is_map(scans[0]) else lines(scans)
    caption = "Points with errors; curves are each point's samples reweighted to its neighbours."
    return [*sections, Section("Picture", [Picture("scan", finish(figure), caption)])]


def points(scan: Scanned) -> Table:
    """A row for each point."""
    shown = {c: head for c, head in SHOWN.items() if any(row.get(c) for row in scan.rows)}
    head = ["lattice", "m2", "lam", *shown.values(), *FIGURES]
    rows = [
        [
            *place(row),
            *(cell(row, name) for name in shown),
            *(number(float(row.get(name) or "nan"), spec) for name, spec in FIGURES.items()),
        ]
        for row in scan.rows
    ]
    marked = frozenset(i for i, row in enumerate(scan.rows) if float(row.get("warnings") or 0))
    return Table(head, rows, "Lattice units. A star: its own summary.json has warnings.", marked)


def comparison(scans: Sequence[Scanned]) -> list[Block]:
    """The pulls of every scan against the first, at the points that they share."""
    blocks: list[Block] = []
    first = {place(row): row for row in scans[0].rows}
    for letter, scan in lettered(scans)[1:]:
        shared = [row for row in scan.rows if place(row) in first]
        if not shared:
            raise ConfigError(f"RUN={scan.path}: has no point of {scans[0].path}")
        names = [
            n for n in SHOWN if any(not math.isnan(pull(r, first[place(r)], n)) for r in shared)
        ]
        pulls = [[pull(row, first[place(row)], name) for name in names] for row in shared]
        marked = {i for i, row in enumerate(pulls) if any(abs(p) > SUSPICIOUS for p in row)}
        known = [p for row in pulls for p in row if not math.isnan(p)]
        worst, mean = max(known, key=abs), sum(p * p for p in known) / len(known)
        text = f"{letter} - A over its error at {len(shared)} points: worst {worst:+.1f} of "
        blocks.append(Text(f"{text}{len(known)}, mean square {mean:.2f}."))
        head = ["lattice", "m2", "lam", *(SHOWN[name] for name in names)]
        cells = ([number(p, "+.1f") for p in row] for row in pulls)
        rows = [[*place(row), *its] for row, its in zip(shared, cells, strict=True)]
        blocks.append(Table(head, rows, f"Pulls, {letter} against A.", frozenset(marked)))
    return blocks


def pull(row: Mapping[str, str], other: Mapping[str, str], name: str) -> float:
    """The difference over its error; NaN where one of them has no value or no error."""
    try:
        values = (float(r[n]) for r in (row, other) for n in (name, f"{name}_err"))
        a, a_error, b, b_error = values
    except (KeyError, ValueError):  # not measured, or empty
        return math.nan
    return (a - b) / (math.hypot(a_error, b_error) or math.nan)


def transition_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """Peaks and crossings, each with what there is of it, as cells."""
    rows = []
    for what, key, height in (
        ("peak of chi_c", "peaks", "connected_susceptibility"),
        ("crossing of U4", "crossings", "binder"),
    ):
        for entry in summary.get(key, []):
            along = entry["along"]
            other = "m2" if along == "lam" else "lam"
            where = entry.get("shape") or " and ".join(entry["shapes"])
            found = entry.get("note") or f"{along}={measured(entry[along])}"
            of = f"{where}, {other}={entry[other]:g}"
            rows.append([what, of, found, measured(entry.get(height))])
    return rows


def place(row: Mapping[str, str]) -> tuple[str, str, str]:
    """Lattice and couplings of a row."""
    return row["shape"], f"{float(row['m2']):g}", f"{float(row['lam']):g}"


def cell(row: Mapping[str, str], name: str) -> str:
    """A value with its error."""
    if not row.get(name):
        return ""
    return with_error(float(row[name]), float(row.get(f"{name}_err") or "nan"))
