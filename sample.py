"""Sample with a trained flow: python sample.py ckpt_path=... [OPTION=VALUE ...]."""

import hydra
from omegaconf import DictConfig

from flowlat.cli import one_line_errors, run_dir, sample_report
from flowlat.config import SampleConfig, validate
from flowlat.draw import draw


@hydra.main(version_base="1.3", config_path="conf", config_name="sample")
@one_line_errors
def main(cfg: DictConfig) -> None:
    config = validate(cfg, SampleConfig)
    summary = draw(config, run_dir())
    print(sample_report(summary, run_dir()))


if __name__ == "__main__":
    main()
