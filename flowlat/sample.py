"""Draw an ensemble: flowlat-sample [OPTION=VALUE ...], or python sample.py; see --help."""

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from flowlat.runs.cli import one_line_errors, run_dir
from flowlat.runs.sweep import with_sweep_summary
from flowlat.utils.conf import conf_dir


@with_sweep_summary
@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="sample")
@one_line_errors
def main(cfg: DictConfig) -> None:
    # here, not above: see flowlat/train.py
    from flowlat.config.compose import refuse_theory, validate
    from flowlat.config.schemas import SampleConfig

    refuse_theory(HydraConfig.get().overrides.task)
    config = validate(cfg, SampleConfig)

    from flowlat.runs.console import sample_report
    from flowlat.runs.folder.record import record_of
    from flowlat.sampling.draw import draw

    summary = draw(config, run_dir(), record_of(cfg))
    print(sample_report(summary, run_dir()))


if __name__ == "__main__":
    main()
