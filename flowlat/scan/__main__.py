"""Scan couplings: flowlat-scan [OPTION=VALUE ...], or python -m flowlat.scan; see --help."""

import sys
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from flowlat.runs.cli import exit_with, one_line_errors, run_dir
from flowlat.runs.sweep import with_sweep_summary
from flowlat.utils.conf import conf_dir


def main() -> None:
    """What ``lattice.shape=[8,8],[12,12]`` means to Hydra, a multirun, is one scan here."""
    from flowlat.scan.volumes import volumes_as_list

    if {"-m", "--multirun"} & {*sys.argv[1:]}:
        exit_with(2, "error: -m: a scan is a sweep itself; write action.lam=4.6:8:0.2")
    sys.argv[1:] = map(volumes_as_list, sys.argv[1:])
    run()


@with_sweep_summary
@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="scan")
@one_line_errors
def run(cfg: DictConfig) -> None:
    # here, not above: see flowlat/train.py
    from flowlat.config.compose import refuse_theory

    refuse_theory(HydraConfig.get().overrides.task)
    config: Any = OmegaConf.to_container(cfg, resolve=True)

    from flowlat.runs.folder.record import record_of
    from flowlat.scan.console import scan_report
    from flowlat.scan.run import scan

    summary = scan(config, run_dir(), record_of(cfg))
    print(scan_report(summary, run_dir()))


if __name__ == "__main__":
    main()
