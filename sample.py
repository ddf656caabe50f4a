"""Draw an ensemble: python sample.py [OPTION=VALUE ...], see --help and the README."""

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from flowlat.cli import one_line_errors, run_dir
from flowlat.config import SampleConfig, refuse_theory, validate
from flowlat.draw import draw
from flowlat.results import sample_report
from flowlat.sweep import ended


@ended
@hydra.main(version_base="1.3", config_path="conf", config_name="sample")
@one_line_errors
def main(cfg: DictConfig) -> None:
    refuse_theory(HydraConfig.get().overrides.task)
    config = validate(cfg, SampleConfig)
    summary = draw(config, run_dir())
    print(sample_report(summary, run_dir()))


if __name__ == "__main__":
    main()
