"""Steps and CPU seconds of a training until an ESS is reached."""

import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.report import environment
from flowlat.actions import Action
from flowlat.analysis.importance import ess
from flowlat.config.build import instantiate
from flowlat.config.compose import compose, validate
from flowlat.config.schemas import TrainConfig
from flowlat.flows import Flow
from flowlat.flows.proposals import proposals
from flowlat.training.build import build_data, build_module
from flowlat.training.launch import quiet
from flowlat.training.module import LitFlow
from flowlat.training.phase import resolve_phase
from flowlat.utils.rng import Stream

#: what is trained, the ESS to reach, steps between measurements
RUNNERS = {
    "published": (["experiment=tutorial_2d", "trainer.max_epochs=1000"], 0.4, 500),
    "ours": (["optimizer.lr=2e-2", "trainer.max_epochs=5"], 0.9, 10),
}
#: the ESS that the column of a point has
GOALS = (0.9, 0.99)
#: steps after which that column is measured
MEASURED = (0, 10, 20, 30, 50, 70, 100, 150, 200, 300, 400, 500, 700, 1000, 1500)


class Clock(Callback):
    """Sums the CPU seconds of the steps alone; when each ESS was reached, then stops.

    ``reached[goal]`` is (steps, CPU seconds), of the averaged weights, at the first of the steps in
    ``measured`` whose fresh samples have this ESS.
    """

    def __init__(self, goals: Sequence[float], measured: Collection[int], n_samples: int):
        self.goals, self.measured, self.n_samples = goals, measured, n_samples
        self.seconds = 0.0
        self.ess = 0.0
        self.reached: dict[float, tuple[int, float]] = {}

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.measure(trainer, module)

    def on_train_batch_start(self, *_: Any) -> None:
        self.started = time.process_time()

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: Any) -> None:
        self.seconds += time.process_time() - self.started
        self.measure(trainer, module)

    def measure(self, trainer: Trainer, module: LightningModule) -> None:
        step, trained = trainer.global_step, cast(LitFlow, module)
        if step not in self.measured or trainer.should_stop:
            return
        flow, action = cast(Flow, trained.best_flow), cast(Action, trained.action)
        batches = proposals(flow, action, self.n_samples, 1024, step, Stream.FINAL)
        self.ess = ess(torch.cat([batch.log_weight for batch in batches]))
        trained.flow.train()
        for goal in self.goals:
            if self.ess >= goal:
                self.reached.setdefault(goal, (step, self.seconds))
        trainer.should_stop = len(self.reached) == len(self.goals)


def time_to_ess(
    overrides: Sequence[str], goals: Sequence[float], measured: Collection[int]
) -> dict[str, Any]:
    """``train.py`` with these overrides on one thread until the largest goal, or to its end.

    Returns:
        steps and CPU seconds to each goal, null if it was not reached; the last ESS.
    """
    config = validate(compose([*overrides, "threads=1"]), TrainConfig)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch, quiet():
        config = resolve_phase(config, Path(scratch))
        clock = Clock(goals, measured, config["evaluation"]["n_samples"])
        off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
        trainer = instantiate(config, "trainer", callbacks=[clock], **off)
        trainer.fit(build_module(config, {}), datamodule=build_data(config))
    reached = {goal: clock.reached.get(goal) for goal in goals}
    return {
        "overrides": " ".join(overrides),
        "reached": {
            str(goal): value and {"steps": value[0], "cpu_seconds": value[1]}
            for goal, value in reached.items()
        },
        "ess": clock.ess,
    }


def race() -> list[dict[str, Any]]:
    """A row a recipe: CPU seconds and steps to its ESS; prints their ratio."""
    rows = []
    for name, (overrides, goal, every) in RUNNERS.items():
        result = time_to_ess(overrides, [goal], range(0, 10**6, every))
        found = result.pop("reached")[str(goal)]
        rows.append({"recipe": name, "goal": goal, **result, **found, "environment": environment()})
        print({key: rows[-1][key] for key in ("recipe", "ess", "steps", "cpu_seconds")}, flush=True)
    print(f"ratio of CPU seconds: {rows[0]['cpu_seconds'] / rows[1]['cpu_seconds']:.1f}")
    return rows
