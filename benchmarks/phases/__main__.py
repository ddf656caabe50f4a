"""Commands as people type them, in every phase and dimension: ESS, acceptance, log Z, CPU time.

    python -m benchmarks.phases --jobs 2                       the points, three seeds each
    python -m benchmarks.phases --jobs 2 --set architectures   every arch on small lattices
    python -m benchmarks.phases --rows 4d_k1 --seeds 0 --again one run, once more

A run trains with the defaults and draws fresh samples, on one thread, in a process of its own. What
is measured is in results/phases/, a file a row; what is there already is not run again, unless it
is an error: the same command goes on where it was stopped. log Z is held against references.json,
made first: exact in d = 1, else ``sampler=annealed``. At the end come the table in the README and
the picture.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.apart import apart
from benchmarks.phases.picture import plot_phases
from benchmarks.phases.references import point, reference
from benchmarks.phases.rows import GROUPS
from benchmarks.phases.run import run
from benchmarks.phases.table import table
from benchmarks.report import FOLDER, fill
from flowlat.utils.files import write_json

RESULTS = FOLDER / "results" / "phases"
IMAGE = FOLDER.parent / "docs" / "images" / "phases.png"

#: seed -> what was measured
Runs = dict[str, dict[str, Any]]


def read(path: Path) -> dict[str, Any]:
    """What is in a file of results; nothing if there is none."""
    return json.loads(path.read_text()) if path.exists() else {}


def make_references(rows: Sequence[str], folder: Path, jobs: int, error: float) -> Runs:
    """The references of these commands, by theory; those that were missing are in the file now."""
    path = folder / "references.json"
    found: Runs = read(path)
    wanted = {key: (config, error) for key, config in map(point, map(str.split, rows))}
    missing = {key: call for key, call in wanted.items() if "value" not in found.get(key, {})}
    for key, result in apart(reference, missing, jobs):
        found[key] = result
        write_json(path, found)
        print(f"log Z of {key}: {result}", flush=True)
    return {key: result for key, result in found.items() if "value" in result}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.phases",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--set", choices=GROUPS, default="points", help="(%(default)s)")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="of the set; default: all")
    parser.add_argument("--seeds", nargs="+", type=int, help="default: those of the set")
    parser.add_argument("--samples", type=int, help="fresh ones; default: those of the set")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once (%(default)s)")
    parser.add_argument("--again", action="store_true", help="run what has its result already")
    parser.add_argument("--more", nargs="+", default=[], help="overrides of all, to end sooner")
    parser.add_argument("--error", type=float, default=0.01, help="of a reference (%(default)s)")
    parser.add_argument("--references", action="store_true", help="make the references alone")
    parser.add_argument("--output", type=Path, help="folder; default: results/, README and picture")
    options = parser.parse_args(arguments)
    known = GROUPS[options.set].rows
    options.rows = options.rows or list(known)
    if unknown := [name for name in options.rows if name not in known]:
        parser.error(f"--rows: no {' '.join(unknown)} in {' '.join(known)}")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    group, folder = GROUPS[options.set], options.output or RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    samples, seeds = options.samples or group.samples, options.seeds or group.seeds
    commands = {
        name: " ".join([group.rows[name].overrides, *options.more]) for name in options.rows
    }
    truths = make_references(list(commands.values()), folder, options.jobs, options.error)
    if options.references:
        return
    calls = {}
    for name, overrides in commands.items():
        found = read(folder / f"{name}.json")
        for seed in seeds:
            before = found.get(str(seed), {"error": "not run yet"})
            same = (before.get("overrides"), before.get("asked")) == (overrides, samples)
            if options.again or "error" in before or not same:
                calls[name, seed] = (overrides, seed, samples)
    for (name, seed), result in apart(run, calls, options.jobs):
        path = folder / f"{name}.json"
        found = read(path)
        found[str(seed)] = {"overrides": commands[name], "asked": samples, **result}
        write_json(path, dict(sorted(found.items())))
        print(f"{name}, seed {seed}:")
        print(text({name: found}, options.set, truths), flush=True)
    found_of = {name: read(folder / f"{name}.json") for name in group.rows}
    if options.output is None:
        fill(options.set, text(found_of, options.set, truths))
        every = [read(folder / f"{name}.json") for g in GROUPS.values() for name in g.rows]
        plot_phases(every, IMAGE)


def text(found: dict[str, Runs], name: str, truths: Runs) -> str:
    """The table of these runs."""
    rows = GROUPS[name].rows
    references = {row: truths.get(point(rows[row].overrides.split())[0], {}) for row in found}
    return table(rows, found, references)


if __name__ == "__main__":
    main()
