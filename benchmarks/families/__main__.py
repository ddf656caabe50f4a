"""Sampling without a training: ESS, acceptance and log Z of the families in the package.

    python -m benchmarks.families --jobs 2                        all rows, theories of one seed
    python -m benchmarks.families --rows phi4_2d --seed 7         other theories
    python -m benchmarks.families --references --error 0.02       log Z by annealing, where it fits

A row is a lattice; its theories are two corners of the domain and points at random, and the worst
of them counts. What is measured is in results/families.json; what is there already is not run
again.
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.apart import Call, apart
from benchmarks.families.measure import overrides, sampled
from benchmarks.families.theories import ROWS, Row, theories
from benchmarks.phases.references import point, pull, reference
from benchmarks.report import FOLDER, fill
from flowlat.utils.files import write_json

RESULTS = FOLDER / "results" / "families.json"
HEADER = """\
| family | lattice | theories | ESS, least and median | acceptance | CPU s a theory \
| \\|pull\\| of log Z | to reach | reached |
| --- | --- | --: | --- | --: | --: | --- | --: | --- |"""


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    rows = [row for row in ROWS if not options.rows or row.family in options.rows]
    points = [p for row in rows for p in theories(row, options.seed, options.random)]
    names = {p: " ".join(overrides(*p)) for p in points}
    function: Call = reference if options.references else sampled
    key = "reference" if options.references else "sampled"
    calls: dict[Any, tuple[Any, ...]] = {p: (*p, options.samples) for p in points}
    if options.references:
        calls = {p: (point(names[p].split())[1], options.error) for p in points}
    missing = {p: call for p, call in calls.items() if key not in found.get(names[p], {})}
    for theory, result in apart(function, missing, options.jobs):
        print(names[theory], {k: v for k, v in result.items() if k != "environment"}, flush=True)
        if "error" not in result or key == "reference":
            found.setdefault(names[theory], {})[key] = result
            write_json(options.output or RESULTS, found)
    table = "\n".join([HEADER, *lines(found, options)])
    print(table)
    if options.output is None:
        fill("families", table)


def lines(found: dict[str, Any], options: argparse.Namespace) -> list[str]:
    """A line for each lattice of which a theory was sampled."""
    made = []
    for row in ROWS:
        names = [" ".join(overrides(*p)) for p in theories(row, options.seed, options.random)]
        runs = [found[name] for name in names if "sampled" in found.get(name, {})]
        if runs:
            made.append(line(row, runs))
    return made


def line(row: Row, runs: Sequence[dict[str, Any]]) -> str:
    """The worst of its theories."""
    ess = sorted(run["sampled"]["ess"] for run in runs)
    known = [r for r in runs if "value" in r.get("reference", {})]
    pulls = [abs(pull(r["sampled"]["log_z"], r["reference"])) for r in known]
    cells = [
        row.family,
        "x".join(map(str, row.shape)),
        str(len(runs)),
        f"{ess[0]:.3f}, {ess[len(ess) // 2]:.3f}",
        f"{min(run['sampled']['acceptance'] for run in runs):.3f}",
        f"{max(run['sampled']['cpu_seconds'] for run in runs):.0f}",
        in_pulls(pulls),
        "" if row.ess is None else f"{row.ess:g}",
        "" if row.ess is None else ("yes" if ess[0] >= row.ess else "**no**"),
    ]
    return f"| {' | '.join(cells)} |"


def in_pulls(pulls: Sequence[float]) -> str:
    """The largest, of how many, and how many log Z have no error, for the tail of the weights."""
    told = [pull for pull in pulls if pull < math.inf]
    parts = [f"{max(told):.2f} of {len(told)}"] if told else []
    if len(told) < len(pulls):
        parts.append(f"no error of {len(pulls) - len(told)}")
    return ", ".join(parts)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.families",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    families = list(dict.fromkeys(row.family for row in ROWS))
    parser.add_argument(
        "--rows", nargs="+", choices=families, metavar="FAMILY", help="default: all"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the theories (%(default)s)")
    parser.add_argument(
        "--random", type=int, default=3, help="theories at random a lattice (%(default)s)"
    )
    parser.add_argument("--samples", type=int, default=100_000, help="of each (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once (%(default)s)")
    parser.add_argument("--references", action="store_true", help="log Z by annealing, no sampling")
    parser.add_argument("--error", type=float, default=0.02, help="of a reference (%(default)s)")
    parser.add_argument("--output", type=Path, help="file; default: results/, and the README")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
