"""Short trainings of anything at random: does one go wrong without saying so?

    python -m benchmarks.robustness --jobs 2     goes on where it was stopped

Run i trains a theory, lattice, architecture and seed that are functions of i, with the defaults,
300 steps in 15 epochs. Its line in results/robustness.jsonl says where loss and ESS began and
ended, and all that was said on the way. A **fault** is a loss that ends above that of the first
epoch, or an ESS below 0.9 times that of a third of the way, with no warning, no rollback and no
error. A small ESS of 2,048 samples fluctuates by more than that: look at the run before you blame.
"""

import argparse
import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.apart import apart
from benchmarks.quality.measure import warnings_in
from benchmarks.report import FOLDER, environment, fill, made
from flowlat.config.checkpoint import read_checkpoint
from flowlat.config.compose import compose, validate
from flowlat.config.schemas import TrainConfig
from flowlat.runs.metrics import read_metrics
from flowlat.training.launch import train
from flowlat.utils.errors import USER_ERRORS, Interrupted
from flowlat.utils.files import finite

RESULTS = FOLDER / "results" / "robustness.jsonl"
#: of the generator of the configurations
SEED = 13
#: 300 steps; ESS is measured after every epoch
LENGTH = "trainer.max_epochs=15 trainer.limit_train_batches=20 evaluation.n_samples=2048"
SIDES, MOST_SITES = np.arange(2, 17, 2), 256
ARCHS = ("continuous", "combconv_k1", "combconv_k2", "conv", "spline")
#: the ESS at the end over that at a third, below which it has fallen
FALLEN = 0.9


def configuration(number: int) -> str:
    """The overrides of run ``number``.

    d uniform in 1 ... 4, even sides of at most 256 sites, m2 uniform in [-6, 2], lam log-uniform in
    [0.3, 20], half of the architectures the default one.
    """
    generator = np.random.default_rng((SEED, number))
    d = int(generator.integers(1, 5))
    shape = generator.choice(SIDES, d)
    while not 4 < math.prod(shape.tolist()) <= MOST_SITES:
        shape = generator.choice(SIDES, d)
    m2 = generator.uniform(-6, 2)
    lam = math.exp(generator.uniform(math.log(0.3), math.log(20)))
    others = [name for name in ARCHS[1:] if d > 1 or name != "combconv_k2"]
    arch = ARCHS[0] if generator.random() < 0.5 else generator.choice(others)
    sides = ",".join(map(str, shape))
    theory = f"lattice={d}d lattice.shape=[{sides}] action.m2={m2:.3f} action.lam={lam:.3f}"
    return f"{theory} arch={arch} seed={generator.integers(2**31)}"


def training(overrides: str) -> dict[str, Any]:
    """What a training came to, and what it said."""
    config = validate(compose([*overrides.split(), "threads=1"]), TrainConfig)
    before = time.process_time()
    error = None
    with tempfile.TemporaryDirectory() as scratch, warnings_in(Path(scratch) / "fit") as warned:
        folder = made(Path(scratch) / "fit")
        summary: dict[str, Any] = {}
        try:
            summary = train(config, folder)
        except Interrupted:
            raise
        except USER_ERRORS as one:
            error = f"{type(one).__name__}: {one}".replace(f"{folder}/", "")
        last = folder / "checkpoints" / "last.ckpt"
        record = read_checkpoint(last)["flowlat"] if last.exists() else {}
        rows = read_metrics(folder / "metrics.csv")
    return {
        **course(rows),
        "cpu_seconds": time.process_time() - before,
        "phase": record.get("config", {}).get("phase"),
        "rollbacks": record.get("rollbacks", 0),
        "warnings": summary.get("warnings"),
        "logged": warned,
        "raised": error,
    }


def course(rows: Sequence[dict[str, str]]) -> dict[str, float | None]:
    """Loss at the start and the end, ESS at a third of the epochs and at the end; None: no row."""
    loss = [float(row["loss"]) for row in rows]
    ess = [float(row["ess"]) if row["ess"] else math.nan for row in rows]
    names = ("loss_start", "loss_end", "ess_third", "ess_end")
    if not rows:
        return dict.fromkeys(names)
    third = max(0, len(rows) // 3 - 1)
    return dict(zip(names, (loss[0], loss[-1], ess[third], ess[-1]), strict=True))


def wrong(run: dict[str, Any]) -> list[str]:
    """Which of loss and ESS ended worse than it was; what is not a number did."""
    if "error" in run or run["raised"]:
        return ["error"]
    loss = (run["loss_end"], run["loss_start"])
    ess = (run["ess_end"], run["ess_third"])
    found = []
    if None in loss or not loss[0] <= loss[1]:
        found.append("loss")
    if None in ess or not ess[0] >= FALLEN * ess[1]:
        found.append("ess")
    return found


def fault(run: dict[str, Any]) -> bool:
    """Whether it went wrong without a word; a process that died has said nothing."""
    if "error" in run:
        return True
    said = run["raised"] or run["rollbacks"] or run["logged"] or run["warnings"]
    return bool(wrong(run)) and not said


def summary(runs: Sequence[dict[str, Any]]) -> str:
    """The counts in a line, and the faults."""
    wrongs = Counter(name for run in runs for name in wrong(run))
    faults = [run for run in runs if fault(run)]
    rolled = sum(bool(run.get("rollbacks")) for run in runs)
    spoke = sum(bool(run.get("logged") or run.get("warnings")) for run in runs)
    lines = [
        f"{len(runs)} trainings: {wrongs['loss']} ended with a loss above the first, "
        f"{wrongs['ess']} with an ESS below that of a third, {wrongs['error']} with an error; "
        f"{rolled} were taken back, {spoke} warned. **{len(faults)} without a word.**"
    ]
    lines += [f"- fault: `{run['overrides']}`: {', '.join(wrong(run))}" for run in faults]
    return "\n".join(lines)


def read(path: Path) -> dict[int, dict[str, Any]]:
    """The runs in the file, by number; a last line that is cut off is none."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    runs = [json.loads(line) for line in lines if line.endswith("\n")]
    return {run["number"]: run for run in runs}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.robustness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=200, help="numbers 0 ... (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once (%(default)s)")
    parser.add_argument("--again", action="store_true", help="run what has its result already")
    parser.add_argument("--length", default=LENGTH, help="overrides of all (%(default)s)")
    parser.add_argument("--output", type=Path, help="file; default: in results/, and the README")
    options = parser.parse_args(arguments)
    path = options.output or RESULTS
    path.parent.mkdir(parents=True, exist_ok=True)
    overrides = {n: f"{configuration(n)} {options.length}" for n in range(options.runs)}
    before = {} if options.again else read(path)
    found = {
        n: run
        for n, run in before.items()
        if run["overrides"] == overrides.get(n) and "error" not in run
    }
    write(path, found)  # whole, then one line a run as they end
    calls = {n: (text,) for n, text in overrides.items() if n not in found}
    where = environment()
    for number, result in apart(training, calls, options.jobs):
        run = {"number": number, "overrides": overrides[number], **result, "environment": where}
        found[number] = finite(run)
        with path.open("a") as file:
            file.write(json.dumps(found[number]) + "\n")
        print(f"{len(found)}/{options.runs} {line(found[number])}", flush=True)
    write(path, found)
    text = summary([found[number] for number in sorted(found)])
    print(text)
    if options.output is None:
        fill("robustness", text)


def line(run: dict[str, Any]) -> str:
    """A run as it ends, in the terminal."""
    said = "FAULT" if fault(run) else ", ".join(wrong(run)) or "well"
    keys = ("loss_start", "loss_end", "ess_third", "ess_end", "cpu_seconds", "error")
    values = "  ".join(f"{key} {run[key]}" for key in keys if key in run)
    return f"{run['overrides']}: {said}  {values}"


def write(path: Path, runs: dict[int, dict[str, Any]]) -> None:
    """The file, in the order of the numbers."""
    path.write_text("".join(json.dumps(runs[number]) + "\n" for number in sorted(runs)))


if __name__ == "__main__":
    main()
