"""Train a flow: flowlat-train [OPTION=VALUE ...], or python train.py; see --help."""

from typing import TYPE_CHECKING

from flowlat.runs.signals import obeying

if TYPE_CHECKING:
    from omegaconf import DictConfig


@obeying
def main() -> None:
    # here, not above: a signal finds its handler while Hydra is imported
    from flowlat.runs.program import run

    run(task, "train")


def task(cfg: "DictConfig") -> float | None:
    """Train as the config says; the ESS, for a search. Of ranks other than 0 nothing."""
    # here, not above: PyTorch takes a second and Lightning several, for which neither --help nor a
    # mistyped option has to wait
    from hydra.core.hydra_config import HydraConfig

    from flowlat.config.compose import refuse_lattice, validate
    from flowlat.config.schemas import TrainConfig

    refuse_lattice(HydraConfig.get().overrides.task, cfg)
    config = validate(cfg, TrainConfig)

    from flowlat.runs.cli import run_dir
    from flowlat.runs.console import fit_report
    from flowlat.runs.folder.record import record_of
    from flowlat.training.launch import train

    summary = train(config, run_dir(), record_of(cfg))
    if not summary:  # rank 0 has it
        return None
    print(fit_report(summary))
    return summary["ess"]


if __name__ == "__main__":
    main()
