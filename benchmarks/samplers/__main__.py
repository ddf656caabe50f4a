"""Effective samples a CPU second, and log Z: flows, HMC, MCLMC, clusters, annealing.

    python -m benchmarks.samplers                    the whole table, into benchmarks/results/
    python -m benchmarks.samplers --points 2d_L8 --seconds 1 --output rows.json
    python -m benchmarks.samplers --flows FOLDER     with flows trained at the points, too

At a point all samplers draw in turn, in one process and on one thread, for so many CPU seconds each
after their thermalisation, which has a column of its own. n rows of a chain are n / (2 tau_int)
effective ones, tau_int that of the slowest of <|M|>, chi2, <phi^2> and C(L/2); weighted rows n ESS.
Flows are those of the families in the package; with ``--flows`` also those that are trained at the
points, and on lattices of half their sides, by the defaults of train.py: into that folder, where
they are not in it. An evaluation is a force of S, a gradient through a flow, a draw or an
inverse of it, or an update of the clusters. Rows are written after every point, and points that
are in the file are not measured again.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import FOLDER, save
from benchmarks.samplers.measure import measure
from benchmarks.samplers.points import POINTS
from benchmarks.samplers.table import markdown

#: where the rows go that are for the README
RESULTS = FOLDER / "results" / "samplers_cpu.json"


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The rows of all points, old and new."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.samplers", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--points", nargs="+", choices=POINTS, default=list(POINTS))
    parser.add_argument("--seconds", type=float, default=4.0, help="CPU seconds of each sampler")
    parser.add_argument("--thermalization", type=int, help="default: about the sampler's own")
    parser.add_argument("--flows", type=Path, help="folder of the trainings at the points")
    parser.add_argument("--output", type=Path, help="JSON; default: in results/, and the README")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    path = options.output or RESULTS
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    for name in options.points:
        if any(row["point"] == name for row in rows):
            continue
        rows += measure(name, POINTS[name], options.seconds, options.thermalization, options.flows)
        rows.sort(key=lambda row: list(POINTS).index(row["point"]))
        print(f"{name}: written to {save('samplers', rows, markdown(rows), options.output)}")
    print(markdown(rows))
    return rows


if __name__ == "__main__":
    main()
