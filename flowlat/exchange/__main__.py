"""python -m flowlat.exchange import|series|export"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from flowlat.exchange.convention import CONVENTIONS, theory_of
from flowlat.runs.program import Parser, exit_code
from flowlat.utils.formatting import shorten

EXAMPLES = """
examples:
  python -m flowlat.exchange import phi.npy --out theirs \\
      --shape 8,8 --coupling m2=-4 --coupling lam=8
  python -m flowlat.exchange import phi.h5 --dataset cfg/phi --axes replica,step,x0,x1 \\
      --shape 32,32 --convention hopping --coupling kappa=0.27 --coupling l=0.022 --out theirs
  python -m flowlat.exchange series m.txt --discard 100
  python -m flowlat.exchange export samples/DATE/TIME phi.h5
"""


@exit_code
def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    options = parser().parse_args(arguments)
    # here, not above: see flowlat/train.py
    from flowlat.ensemble import open_ensemble
    from flowlat.exchange.export import export
    from flowlat.exchange.importing import import_ensemble
    from flowlat.exchange.series import analyse, series_report
    from flowlat.runs.console import sample_report

    logging.basicConfig(format="%(message)s")
    if options.command == "import":
        summary = import_ensemble(
            options.source,
            options.out,
            options.shape,
            dict(options.coupling),
            options.convention,
            options.axes,
            options.replicas,
            options.dataset,
            not options.unchecked,
        )
        print(sample_report(summary, options.out))
        given = options.convention, dict(options.coupling), len(options.shape)
        m2, lam, _ = theory_of(*given)
        print(f"Of action.m2={m2!r} action.lam={lam!r}")  # as a training has to have them
    elif options.command == "series":
        columns = options.columns, options.columns_are_replicas
        print(series_report(analyse(options.source, *columns, options.discard)))
    else:
        with open_ensemble(options.run) as ensemble:
            export(ensemble, options.out)
        print(f"In {shorten(str(options.out))}")
    return 0


def parser() -> Parser:
    """The three commands and their options."""
    from flowlat.exchange.export import FORMATS

    top = Parser(
        prog="python -m flowlat.exchange",
        description="Data of other programs in, ensembles out.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True)
    _import(commands.add_parser("import", help="configurations of another program: a run folder"))
    series = commands.add_parser("series", help="mean, error and tau_int of time series")
    add = series.add_argument
    add(
        "source",
        nargs="+",
        type=Path,
        metavar="SOURCE",
        help="text, CSV or .npy; several files: replicas",
    )
    add(
        "--columns",
        type=names,
        default=(),
        metavar="A,B",
        help="these columns alone, by name or number",
    )
    add("--columns-are-replicas", action="store_true", help="of one quantity")
    add("--discard", type=int, default=0, metavar="N", help="steps at the beginning")
    out = commands.add_parser("export", help="an ensemble for other programs")
    out.add_argument(
        "run", type=Path, metavar="RUN", help="a folder of sample.py, or an ensemble.h5"
    )
    ends = ", ".join(FORMATS)
    out.add_argument("out", type=Path, metavar="OUT", help=f"a file, whose name says what: {ends}")
    return top


def _import(command: Parser) -> None:
    add = command.add_argument
    forms = "; ".join(f"{name}: {' '.join(c.couplings)}" for name, c in CONVENTIONS.items())
    add("source", type=Path, metavar="SOURCE", help=".npy, .npz, HDF5 or text")
    add("--out", type=Path, required=True, help="the folder to make")
    add("--shape", type=sides, required=True, metavar="L0,L1,...", help="of the lattice")
    add("--convention", choices=CONVENTIONS, default="flowlat", help=f"couplings of each: {forms}")
    add(
        "--coupling",
        type=coupling,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="each of them",
    )
    add(
        "--axes",
        type=names,
        metavar="A,B,...",
        help="of the array: step, x0, x1, ..., replica; default step,x0,x1,...",
    )
    add("--replicas", type=int, metavar="N", help="where the array does not show it")
    add("--dataset", metavar="NAME", help="of a .npz or HDF5 file with several")
    add("--unchecked", action="store_true", help="also what misses the Schwinger-Dyson identity")


def names(text: str) -> list[str]:
    """A list as it is typed."""
    return [name.strip() for name in text.split(",")]


def sides(text: str) -> list[int]:
    """A shape as it is typed."""
    try:
        return [int(side) for side in text.strip("[]()").split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: must be integers, L0,L1,...") from error


def coupling(text: str) -> tuple[str, float]:
    """A coupling as it is typed."""
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: must be NAME=VALUE, a number") from error


if __name__ == "__main__":
    sys.exit(main())
