"""Train a flow: python train.py [OPTION=VALUE ...], see --help and the README."""

import hydra
from omegaconf import DictConfig

from flowlat.config.compose import validate
from flowlat.config.schemas import TrainConfig
from flowlat.runs.cli import one_line_errors, run_dir
from flowlat.runs.console import fit_report
from flowlat.runs.sweep import with_sweep_summary
from flowlat.training.launch import train


@with_sweep_summary
@hydra.main(version_base="1.3", config_path="conf", config_name="train")
@one_line_errors
def main(cfg: DictConfig) -> float | None:
    config = validate(cfg, TrainConfig)
    summary = train(config, run_dir())
    if not summary:  # rank 0 has it
        return None
    print(fit_report(summary))
    return summary["ess"]


if __name__ == "__main__":
    main()
