"""What ``python -m flowlat.validate`` does: every case, its pulls, and the verdict."""

import argparse
import logging
import tempfile
import time
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path

from flowlat.runs.program import Parser
from flowlat.utils.files import write_json
from flowlat.utils.formatting import table, with_error
from flowlat.utils.provenance import provenance
from flowlat.validate.cases import Case, cases
from flowlat.validate.coverage import Shares, below, measured, written
from flowlat.validate.ensembles import checks
from flowlat.validate.judge import THRESHOLD, Check, Verdict, largeness, overall, verdict

DESCRIPTION = """
Holds sample.py, with every sampler, against what is known: the free theory (d = 1 .. 4), the
transfer matrix (d = 1), the Schwinger-Dyson identity of every ensemble, and published values.
Prints every pull; exits with 1 if all of it together has a p-value below 1e-4. Then how often the
error of each observable holds its exact value, from chains of known autocorrelation: 0.68 is right;
exits with 1 if one is below 0.5 beyond chance.
"""

EPILOG = """
The numbers of one ensemble are correlated: they enter chi2 together, as one degree of freedom.

examples:
  python -m flowlat.validate --quick                        # about a minute
  python -m flowlat.validate --out validation               # minutes; leaves validate.json
  python -m flowlat.validate --group free --seed 7
"""


def validate(arguments: Sequence[str] | None) -> int:
    """The exit code; 1 on disagreement."""
    groups = [*dict.fromkeys(case.group for case in cases()), "coverage"]
    parser = Parser(
        prog="python -m flowlat.validate",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer and smaller ensembles")
    parser.add_argument("--group", choices=groups, help="one of these alone")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default: 0)")
    parser.add_argument("--out", type=Path, help="a folder for validate.json")
    options = parser.parse_args(arguments)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    found: list[Check] = []
    shares: Shares = {}
    # no warnings of single ensembles: what is amiss with them shows in the pulls
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for case in cases():
                if options.group in (None, case.group):
                    found += measure(case, options.quick, options.seed)
            if options.group in (None, "coverage"):
                shares = measured(options.quick, options.seed)
    finally:
        logging.disable(logging.NOTSET)
    if shares:
        print(written(shares), flush=True)
    names = dict.fromkeys(check.group for check in found)
    verdicts = {group: verdict(c for c in found if c.group == group) for group in names}
    p_value = overall(found) if found else 1.0
    if found:
        print(summary(found, {**verdicts, "all": verdict(found)}, p_value, options.quick))
    passed = p_value >= THRESHOLD and not below(shares)
    if options.out:
        report = {
            "passed": passed,
            "p_value": p_value,
            "seed": options.seed,
            "quick": options.quick,
            "groups": {group: part._asdict() for group, part in verdicts.items()},
            "all": verdict(found)._asdict(),
            "coverage": {
                run: {k: c._asdict() for k, c in one.items()} for run, one in shares.items()
            },
            "checks": [{**check._asdict(), "pull": check.pull} for check in found],
            "provenance": provenance(),
        }
        write_json(options.out / "validate.json", report)
    return 0 if passed else 1


def measure(case: Case, quick: bool, seed: int) -> list[Check]:
    """The checks of a case, printed; none where a quick run leaves it out."""
    n_samples = case.quick if quick else case.n_samples
    if not n_samples:
        return []
    started = time.monotonic()
    # no two cases share random numbers, and none depends on which others are run
    own = zlib.crc32(f"{seed} {case.name}".encode())
    with tempfile.TemporaryDirectory() as folder:
        found = checks(case, n_samples, own, Path(folder))
    print(f"\n{case.name}: {n_samples} configurations, {time.monotonic() - started:.0f} s")
    rows = [("observable", "value", "reference", "pull")]
    for check in found:
        value = with_error(check.value, check.error)
        reference = with_error(check.reference, check.reference_error)
        rows.append((check.name, value, reference, f"{check.pull:+.2f}"))
    print(table(rows), flush=True)
    return found


def summary(
    found: Sequence[Check], verdicts: dict[str, Verdict], p_value: float, quick: bool
) -> str:
    """chi2 and p-value of every group and of all."""
    rows = [("group", "chi2", "ensembles", "p-value")]
    for group, (chi2, n, p) in verdicts.items():
        rows.append((group, f"{chi2:.1f}", str(n), f"{p:.2g}"))
    worst = max(found, key=lambda check: largeness(check.pull))
    lines = [
        "",
        table(rows),
        f"\n{len(found)} pulls, the largest {worst.pull:+.2f}: {worst.name} of {worst.ensemble}.",
        f"p = {p_value:.2g}: {'FAILED' if p_value < THRESHOLD else 'passed'} "
        f"(threshold {THRESHOLD:g}).",
    ]
    measured = [check for check in found if check.reference_error > 0]
    if measured and not quick:
        good = sum(check.error <= check.reference_error for check in measured)
        lines.insert(-1, f"{good} of {len(measured)} errors are no larger than the published ones.")
    return "\n".join(lines)
