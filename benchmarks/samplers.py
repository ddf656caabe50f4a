"""Effective samples a second: a flow, HMC and annealing, on the same points and the same machine.

    python -m benchmarks.samplers                the whole table, into benchmarks/results/
    python -m benchmarks.samplers --cases d2_L8 --samples 20000 --epochs 2

A chain of n configurations has n / (2 tau_int) effective ones, tau_int the largest of |M|, chi2 and
the action density; weights make ESS n of n. HMC's time includes thermalisation. A flow is trained
first, with the project's own recipe; the time of n_total effective samples is given with and
without the training. One thread.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import save
from flowlat.config.compose import compose, validate
from flowlat.config.schemas import SampleConfig, TrainConfig
from flowlat.sampling.draw import draw
from flowlat.training.launch import train

#: the observables whose slowest counts
OBSERVABLES = ("abs_magnetization", "chi2", "action_density")
#: effective samples whose time is given with the training included
N_TOTAL = 100_000


@dataclass(frozen=True)
class Case:
    """A point: its theory, how its flow is trained, how long it is annealed."""

    theory: tuple[str, ...]
    training: tuple[str, ...]
    epochs: int


CASES = {
    "d2_L8": Case(("lattice=2d", "action.lam=8"), (), 10),
    "d3_L8": Case(("lattice=3d", "action.lam=8"), ("arch=combconv_k1",), 10),
    "d4_L4": Case(("lattice=4d", "action.lam=5.113"), ("arch=combconv_k1", "recipe=ordered"), 30),
}


def measure(name: str, samples: int, epochs: int | None, folder: Path) -> list[dict[str, Any]]:
    """The rows of a case, one a sampler."""
    case = CASES[name]
    epochs = epochs or case.epochs
    training = [*case.theory, *case.training, f"trainer.max_epochs={epochs}", "threads=1"]
    trained = train(validate(compose(training), TrainConfig), made(folder / "fit"))
    from_flow = [f"ckpt_path={trained['checkpoint']}"]
    runs = {
        "flow": (from_flow, samples, trained["seconds"]),
        "hmc": ([*case.theory, "sampler=hmc", "sampler.replicas=256"], samples, 0.0),
        "annealed": ([*case.theory, "sampler=annealed"], samples // 40, 0.0),
    }
    rows = []
    for sampler, (overrides, n, seconds) in runs.items():
        names = [*overrides, f"n_samples={n}", "save_configs=false", "threads=1"]
        config = validate(compose(names, "sample"), SampleConfig)
        rows.append(row(name, sampler, draw(config, made(folder / sampler)), seconds))
    return rows


def row(case: str, sampler: str, summary: dict[str, Any], training: float) -> dict[str, Any]:
    """What a summary says of efficiency."""
    n, seconds = summary["n_samples"], summary["seconds"]
    if summary["kind"] == "weighted":
        tau, effective = None, n * summary["ess"]
    else:
        tau = max(summary["observables"][name]["tau_int"] for name in OBSERVABLES)
        effective = n / (2 * tau)
    rate = effective / seconds
    return {
        "case": case,
        "sampler": sampler,
        "training_seconds": training,
        "samples": n,
        "seconds": seconds,
        "ess": summary.get("ess"),
        "acceptance": summary["acceptance"],
        "tau_int": tau,
        "effective_per_second": rate,
        "seconds_of_total": training + N_TOTAL / rate,
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown; the fastest of a case in bold."""
    lines = [
        "| case | sampler | ESS | acceptance | tau_int | effective samples/s | training, s "
        f"| {N_TOTAL} effective samples, training included, s |",
        "| --- | --- | --: | --: | --: | --: | --: | --: |",
    ]
    for r in rows:
        rivals = [other for other in rows if other["case"] == r["case"]]
        rate = f"{r['effective_per_second']:.0f}"
        if r["effective_per_second"] == max(o["effective_per_second"] for o in rivals):
            rate = f"**{rate}**"
        total = f"{r['seconds_of_total']:.0f}"
        if r["seconds_of_total"] == min(o["seconds_of_total"] for o in rivals):
            total = f"**{total}**"
        cells = [
            r["case"],
            r["sampler"],
            number(r["ess"], 3),
            number(r["acceptance"], 3),
            number(r["tau_int"], 2),
            rate,
            f"{r['training_seconds']:.0f}",
            total,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def number(value: float | None, digits: int) -> str:
    """A number, or nothing where there is none."""
    return "" if value is None else f"{value:.{digits}f}"


def made(folder: Path) -> Path:
    """The folder, which is there now."""
    folder.mkdir(parents=True)
    return folder


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, help="of training; default: the case's own")
    parser.add_argument("--output", type=Path, help="JSON; default: in results/, and the README")
    options = parser.parse_args(arguments)
    rows = []
    for name in options.cases:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(name, options.samples, options.epochs, Path(folder))
    text = table(rows)
    print(text)
    print(save("samplers", rows, text, options.output))


if __name__ == "__main__":
    main()
