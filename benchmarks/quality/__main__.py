"""How good the flows get: the points of the literature, trained and measured on fresh samples.

    python -m benchmarks.quality                     every row, and the table in the README
    python -m benchmarks.quality --rows tutorial E1  some of them
    python -m benchmarks.quality --race              the published recipe to ESS 0.4, ours to 0.9

A row trains with the defaults and what it says itself, on one thread, then draws 100,000 proposals
from the best checkpoint. A row that starts from the weights of another one, a smaller lattice,
needs that row in ``--keep`` or before it. Then two trainings run until their ESS is 0.9 and 0.99,
from the identity and from the family in the package. Its file in results/quality/ holds the whole
config; ``--keep FOLDER`` keeps the checkpoint.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.quality.measure import measure
from benchmarks.quality.race import GOALS, MEASURED, race, time_to_ess
from benchmarks.report import FOLDER, fill
from flowlat.config.checkpoint import read_checkpoint
from flowlat.utils.formatting import measured

RESULTS = FOLDER / "results" / "quality"


@dataclass(frozen=True)
class Row:
    """A point: what it says beyond ``python train.py``, what others reached, where it starts.

    ``start`` is another row, or "family".
    """

    overrides: str
    published: str = ""
    start: str | None = None
    samples: int = 100_000


def square(side: int, lam: float) -> str:
    return f"lattice.shape=[{side},{side}] action.lam={lam}"


#: where 8,192 configurations take minutes
LARGE = "evaluation.n_samples=2048 evaluation.batch_size=128"
ROWS = {
    "tutorial": Row("", "ESS 0.40 after 2,500 steps"),
    "E1": Row(square(6, 6.975), "acceptance 0.79 after 500 steps"),
    "E2": Row(square(8, 6.008), "acceptance 0.5 to 0.7"),
    "E3": Row(square(10, 5.550), "acceptance 0.5 to 0.7"),
    "E4": Row(square(12, 5.276), "acceptance 0.5 to 0.7"),
    "E5": Row(square(14, 5.113), "acceptance 0.5 to 0.7"),
    "xi_20": Row(square(20, 4.807)),
    "xi_32": Row(square(32, 4.572), "ESS 0.904, on a GPU", "family"),
    "xi_64": Row(f"{square(64, 4.398)} {LARGE}", "", "xi_32", 10_000),
    "3d_L8": Row("lattice=3d action.lam=8"),
    "3d_L4_ordered": Row("lattice=3d lattice.shape=[4,4,4] action.lam=5.113"),
    "3d_L8_ordered": Row("lattice=3d action.lam=5.113"),
    "4d_L4_ordered": Row("lattice=4d action.lam=5.113", "acceptance 0.5 after 50,000 steps"),
    "4d_L8_ordered": Row(
        f"lattice=4d lattice.shape=[8,8,8,8] action.lam=5.113 {LARGE}", "", "family", 10_000
    ),
}


def measured_row(row: Row, start: str | None, samples: int, folder: Path) -> dict[str, Any]:
    """Train a row and draw from it; what is written to its file."""
    overrides = row.overrides.split()
    result = measure([*overrides, *([f"init_from={start}"] if start else [])], samples, folder)
    result["config"]["init_from"] = row.start  # not a path of this machine
    # a row that starts from a smaller lattice is one whose identity is far away
    starts: dict[str, list[str]] = {}
    if row.start in (None, "family"):
        starts["family"] = ["init_from=family"]
    if row.start is None:
        starts["identity"] = []
    return {
        "overrides": row.overrides,
        "start": row.start,
        "published": row.published,
        **result,
        "to_ess": {
            name: time_to_ess([*overrides, *more], GOALS, MEASURED) for name, more in starts.items()
        },
    }


def cost(found: dict[str, Any] | None) -> str:
    """Steps and CPU seconds to every goal, a dash where it was not reached."""

    def one(goal: dict[str, Any] | None) -> str:
        if goal is None:
            return "-"
        return f"{goal['steps']} ({goal['cpu_seconds']:.1f} s)" if goal["steps"] else "0"

    return ", ".join(map(one, found["reached"].values())) if found else ""


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The rows in Markdown."""
    goals = " and ".join(map(str, GOALS))
    lines = [
        "| point | command, beyond `python train.py` | published | steps | CPU s | ESS "
        "| acceptance | log Z | <\\|M\\|> | chi2 | tau_int of \\|M\\|, chi2 | <sign M> "
        f"| steps to ESS {goals} | from the family |",
        f"| --- | --- | --- {'| --: ' * 11}|",
    ]
    for name, r in rows.items():
        start = f", from the weights of {r['start']}" if r["start"] else ""
        to_ess = r["to_ess"]
        command = f"`{r['overrides']}`" if r["overrides"] else ""
        m, chi2 = r["abs_magnetization"], r["chi2"]
        lines.append(
            f"| {name} | {command}{start} | {r['published']} | {r['steps']} "
            f"| {r['cpu_seconds']:.0f} | {r['ess']:.4f} | {r['acceptance']:.4f} "
            f"| {measured(r['log_z'])} | {measured(m)} | {measured(chi2)} "
            f"| {m['tau_int']:.2f}, {chi2['tau_int']:.2f} | {r['sign_balance']:+.3f} "
            f"| {cost(to_ess.get('identity'))} | {cost(to_ess.get('family'))} |"
        )
    return "\n".join(lines)


def keep(checkpoint: Path, path: Path) -> None:
    """The flow alone, without the state of the training and the paths of this machine."""
    content = read_checkpoint(checkpoint)
    content["flowlat"]["config"]["init_from"] = None
    torch.save({name: content[name] for name in ("state_dict", "flowlat")}, path)


def results() -> dict[str, dict[str, Any]]:
    """The rows that have a file, in the order of the table."""
    files = {name: RESULTS / f"{name}.json" for name in ROWS}
    return {name: json.loads(path.read_text()) for name, path in files.items() if path.exists()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW")
    parser.add_argument("--samples", type=int, help="proposals; default: those of the row")
    parser.add_argument("--keep", type=Path, help="the folder of the checkpoints, ROW.ckpt")
    parser.add_argument("--race", action="store_true", help="only time to an ESS, in one process")
    args = parser.parse_args(arguments)
    RESULTS.mkdir(parents=True, exist_ok=True)
    if args.race:
        (RESULTS / "race.json").write_text(json.dumps(race(), indent=1) + "\n")
        return
    with tempfile.TemporaryDirectory() as scratch:
        kept = args.keep or Path(scratch)
        kept.mkdir(parents=True, exist_ok=True)
        for name in args.rows:
            row, folder = ROWS[name], Path(scratch) / name
            start = str(kept / f"{row.start}.ckpt") if row.start in ROWS else row.start
            result = measured_row(row, start, args.samples or row.samples, folder)
            keep(folder / "fit" / "checkpoints" / "best_ess.ckpt", kept / f"{name}.ckpt")
            (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
            print(table({name: result}), flush=True)
    fill("quality", table(results()))


if __name__ == "__main__":
    main()
