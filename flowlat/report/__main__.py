"""python -m flowlat.report RUN... [--out DIR] [--watch]"""

import argparse
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from flowlat.runs.folder.lock import hold, release
from flowlat.runs.program import Parser, exit_code
from flowlat.utils.errors import ConfigError, WriteError
from flowlat.utils.formatting import shorten

#: of a report, beside that of the run
LOCK = ".report.lock"
EXAMPLES = """
A RUN is a folder of sample.py, of train.py, of a multirun of train.py, or of flowlat.scan. Of
several samplings the page puts the observables side by side, with pulls; they must be of one
theory. Of several scans it does so at the points that they share.

examples:
  python -m flowlat.report samples/DATE/TIME                  # one ensemble, into its folder
  python -m flowlat.report samples/DATE/TIME --window 2 6     # the pole mass from these t
  python -m flowlat.report HMC_RUN FLOW_RUN --out compared    # two of them side by side
  python -m flowlat.report outputs/DATE/TIME                  # a training
  python -m flowlat.report multirun/DATE/TIME                 # a study: which arch is first?
  python -m flowlat.report FLOW_SCAN HMC_SCAN                 # two scans side by side
  python -m flowlat.report --watch outputs/DATE/TIME          # a line an epoch, as they come
  python -m flowlat.report --watch multirun/DATE/TIME         # the same of all its jobs
"""


@exit_code
def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = Parser(
        prog="python -m flowlat.report",
        description="Pictures and one self-contained HTML page of runs of flowlat.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", nargs="+", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument(
        "--out", type=Path, help="where to write (default: RUN, or ./report for several)"
    )
    parser.add_argument(
        "--watch", action="store_true", help="follow a training or a multirun in the terminal"
    )
    parser.add_argument(
        "--window",
        nargs=2,
        type=int,
        metavar=("T_MIN", "T_MAX"),
        help="of the fit of the pole mass (default: that of the sampling, mass_window)",
    )
    options = parser.parse_args(arguments)
    # here, not above: see flowlat/train.py
    from flowlat.report.build import build
    from flowlat.report.page.html import write
    from flowlat.report.page.terminal import as_text
    from flowlat.report.training.watch import watch

    if options.watch and (len(options.run) > 1 or options.out or options.window):
        parser.error("--watch takes one RUN and writes nothing")
    out = options.out or (options.run[0] if len(options.run) == 1 else Path("report"))
    if options.watch:
        for line in watch(options.run[0]):
            print(line, flush=True)
    else:
        page = build(options.run, options.window)
        try:
            out = take(out, numbered=not options.out and len(options.run) > 1)
            path = write(page, out)
        except OSError as error:
            raise WriteError(f"--out={out}: cannot be written ({error.strerror})") from error
        finally:
            release(out, LOCK)
        print(f"{as_text(page.sections)}\n\nReport: {shorten(str(path))}")
    return 0


def take(out: Path, numbered: bool) -> Path:
    """Make the folder and hold it against other reports, not against the run that is in it.

    Args:
        numbered: where another report is at work, take a numbered folder beside it.

    Raises:
        ConfigError: another report is at work in it.
    """
    for number in count(1):
        folder = out if number == 1 else out.with_name(f"{out.name}_{number}")
        folder.mkdir(parents=True, exist_ok=True)
        try:
            hold(folder, "--out", LOCK)
        except ConfigError:
            if not numbered:
                raise
        else:
            break
    return folder


if __name__ == "__main__":
    sys.exit(main())
