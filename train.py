"""Train a flow: python train.py [OPTION=VALUE ...], see --help and the README."""

import hydra
from omegaconf import DictConfig

from flowlat.runs.cli import one_line_errors, run_dir
from flowlat.runs.sweep import with_sweep_summary


@with_sweep_summary
@hydra.main(version_base="1.3", config_path="conf", config_name="train")
@one_line_errors
def main(cfg: DictConfig) -> float | None:
    # here, not above: PyTorch takes a second and Lightning several, for which neither --help nor a
    # mistyped option has to wait
    from flowlat.config.compose import validate
    from flowlat.config.schemas import TrainConfig

    config = validate(cfg, TrainConfig)

    from flowlat.runs.console import fit_report
    from flowlat.training.launch import train

    summary = train(config, run_dir())
    if not summary:  # rank 0 has it
        return None
    print(fit_report(summary))
    return summary["ess"]


if __name__ == "__main__":
    main()
