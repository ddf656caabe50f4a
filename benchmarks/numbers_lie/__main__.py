"""python -m benchmarks.numbers_lie [--runs DIR] [--out DIR]: the pictures, and runs for them."""

import argparse
from pathlib import Path

from benchmarks.numbers_lie.commands import run_missing
from benchmarks.numbers_lie.derived import derived
from benchmarks.numbers_lie.pictures import replicas, weights, wells


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.numbers_lie", description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("numbers_lie"), help="folder of the runs")
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="of the pictures")
    options = parser.parse_args()
    run_missing(options.runs)
    pictures = {
        "derived": derived(),
        "replicas": replicas(options.runs / "replicas", options.runs / "wide"),
        "weights": weights(options.runs / "weights"),
        "wells": wells(options.runs / "frozen", options.runs / "crossed"),
    }
    for name, figure in pictures.items():
        figure.savefig(options.out / f"lies_{name}.png", dpi=100)


if __name__ == "__main__":
    main()
