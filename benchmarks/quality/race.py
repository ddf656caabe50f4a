"""CPU seconds of training until an ESS is reached, of two recipes in one process."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.report import environment
from flowlat.analysis.importance import ess
from flowlat.config.build import instantiate
from flowlat.config.compose import compose, validate
from flowlat.config.schemas import TrainConfig
from flowlat.flows.proposals import proposals
from flowlat.training.build import build_data, build_module
from flowlat.utils.rng import Stream

#: what is trained, the ESS to reach, steps between measurements
RUNNERS = {
    "published": (["experiment=tutorial_2d", "trainer.max_epochs=1000"], 0.4, 500),
    "ours": (["optimizer.lr=2e-2", "trainer.max_epochs=5"], 0.9, 10),
}
#: proposals of a measurement
N_SAMPLES = 8192


class Clock(Callback):
    """Sums the CPU seconds of the steps alone, and stops at an ESS."""

    def __init__(self, goal: float, every: int):
        self.goal, self.every = goal, every
        self.seconds = 0.0
        self.ess = 0.0

    def on_train_batch_start(self, *_: Any) -> None:
        self.started = time.process_time()

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: Any) -> None:
        self.seconds += time.process_time() - self.started
        if trainer.global_step % self.every == 0:
            trained: Any = module
            step = trainer.global_step
            batches = proposals(
                trained.best_flow, trained.action, N_SAMPLES, 1024, step, Stream.FINAL
            )
            self.ess = ess(torch.cat([batch.log_weight for batch in batches]))
            trained.flow.train()
            trainer.should_stop = self.ess >= self.goal


def race() -> list[dict[str, Any]]:
    """A row a recipe: CPU seconds and steps to its ESS; prints their ratio."""
    rows = []
    for name, (overrides, goal, every) in RUNNERS.items():
        config = validate(compose([*overrides, "threads=1"]), TrainConfig)
        torch.set_num_threads(1)
        clock = Clock(goal, every)
        off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
        trainer = instantiate(config, "trainer", callbacks=[clock], **off)
        trainer.fit(build_module(config, {}), datamodule=build_data(config))
        rows.append(
            {
                "recipe": name,
                "overrides": " ".join(overrides),
                "goal": goal,
                "ess": clock.ess,
                "steps": trainer.global_step,
                "cpu_seconds": clock.seconds,
                "environment": environment(),
            }
        )
        print({key: rows[-1][key] for key in ("recipe", "ess", "steps", "cpu_seconds")}, flush=True)
    print(f"ratio of CPU seconds: {rows[0]['cpu_seconds'] / rows[1]['cpu_seconds']:.1f}")
    return rows
