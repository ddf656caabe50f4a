"""Train a flow: flowlat-train [OPTION=VALUE ...], or python train.py; see --help."""

import hydra
from omegaconf import DictConfig

from flowlat.runs.cli import one_line_errors, run_dir
from flowlat.runs.sweep import with_sweep_summary
from flowlat.utils.conf import conf_dir


@with_sweep_summary
@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")
@one_line_errors
def main(cfg: DictConfig) -> float | None:
    # here, not above: PyTorch takes a second and Lightning several, for which neither --help nor a
    # mistyped option has to wait
    from flowlat.config.compose import validate
    from flowlat.config.schemas import TrainConfig

    config = validate(cfg, TrainConfig)

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
