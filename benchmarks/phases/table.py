"""What the rows reach, in Markdown: the worst seed of each counts."""

import math
from collections.abc import Mapping
from typing import Any

from benchmarks.phases.references import pull
from benchmarks.phases.rows import Row

#: |log Z - reference| in combined errors, and systematic / error, at most
PULL, SYSTEMATIC = 3.5, 0.1

#: runs by seed, as they are in the file of a row
Runs = Mapping[str, dict[str, Any]]
HEADER = """\
| command, beyond `python train.py` | seeds | phase | steps | CPU s | ESS | acceptance \
| \\|<sign M>\\| | \\|pull\\| of log Z | systematic / error \
| rollbacks, warnings | to reach | reached |
| --- | --: | --- | --: | --: | --: | --: | --: | --: | --: | --: | --- | --- |"""


def table(
    rows: Mapping[str, Row], found: Mapping[str, Runs], truths: Mapping[str, dict[str, Any]]
) -> str:
    """A line for each row that has runs.

    Args:
        found: the runs of a row.
        truths: the reference of a row.
    """
    lines = [line(rows[name], found[name], truths.get(name)) for name in rows if found.get(name)]
    return "\n".join([HEADER, *lines])


def line(row: Row, runs: Runs, truth: dict[str, Any] | None) -> str:
    """The worst of the seeds, column by column; of a run that failed its error alone."""
    overrides = f"`{next(iter(runs.values()))['overrides']}`"
    if failed := [f"seed {seed}: {run['error']}" for seed, run in runs.items() if "error" in run]:
        blank = " |" * 5
        start = f"| {overrides} | {len(runs)} | | | | {'; '.join(failed)}"
        return f"{start} |{blank} {words(row)} | **no** |"
    several = list(runs.values())
    worst = {
        "ess": min(run["ess"] or 0.0 for run in several),
        "acceptance": min(run["acceptance"] or 0.0 for run in several),
        "cpu_seconds": max(run["cpu_seconds"] for run in several),
        "sign": max(abs(run["sign_balance"] or 0.0) for run in several),
        "pull": max(abs(pull(run["log_z"], truth)) for run in several) if truth else None,
        "systematic": largest_systematic(several),
    }
    cells = [
        overrides,
        str(len(several)),
        ", ".join(sorted({str(run["phase"] or "") for run in several})),
        str(max(run["steps"] for run in several)),
        f"{worst['cpu_seconds']:.0f}",
        f"{worst['ess']:.4f}",
        f"{worst['acceptance']:.4f}",
        f"{worst['sign']:.3f}",
        number(worst["pull"]),
        number(worst["systematic"]),
        f"{sum(run['rollbacks'] for run in several)}, {sum(map(n_warnings, several))}",
        words(row),
        verdict(row, worst),
    ]
    return f"| {' | '.join(cells)} |"


def verdict(row: Row, worst: Mapping[str, float | None]) -> str:
    """Whether every goal that was set is reached: yes, or no and which are not."""
    least, most = {"ess": row.ess, "acceptance": row.acceptance}, {"cpu_seconds": row.cpu_seconds}
    most |= {"pull": PULL, "systematic": SYSTEMATIC}
    missed = [k for k, goal in least.items() if goal is not None and not (worst[k] or 0) >= goal]
    for name, goal in most.items():
        value = worst[name]
        if goal is not None and value is not None and not value <= goal:  # NaN is a miss
            missed.append(name)
    return f"**no**: {', '.join(missed)}" if missed else "yes"


def words(row: Row) -> str:
    """The goals of a row itself; those of log Z are everyone's."""
    goals = {"ESS >=": row.ess, "acceptance >=": row.acceptance, "CPU s <=": row.cpu_seconds}
    return ", ".join(f"{text} {goal:g}" for text, goal in goals.items() if goal is not None)


def largest_systematic(runs: list[dict[str, Any]]) -> float | None:
    """Of systematic / error of log Z; None where no run has a systematic error."""
    ratios = [
        abs(log_z["systematic"]) / log_z["error"] if log_z["error"] else math.inf
        for run in runs
        if (log_z := run["log_z"]).get("systematic") is not None
    ]
    return max(ratios, default=None)


def n_warnings(run: Mapping[str, Any]) -> int:
    """Lines that were logged as a warning, in training and sampling."""
    return len(run["warnings"]["logged"])


def number(value: float | None) -> str:
    """Two digits, or nothing where there is no value."""
    return "" if value is None else f"{value:.2f}"
