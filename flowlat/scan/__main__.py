"""Scan couplings: flowlat-scan [OPTION=VALUE ...], or python -m flowlat.scan; see --help."""

import sys
from typing import TYPE_CHECKING, Any

from flowlat.runs.signals import obeying

if TYPE_CHECKING:
    from omegaconf import DictConfig


@obeying
def main() -> None:
    """What ``lattice.shape=[8,8],[12,12]`` means to Hydra, a multirun, is one scan here."""
    # here, not above: see flowlat/train.py
    from flowlat.runs.cli import exit_with
    from flowlat.runs.program import run
    from flowlat.scan.volumes import volumes_as_list

    if {"-m", "--multirun"} & {*sys.argv[1:]}:
        exit_with(2, "error: -m: a scan is a sweep itself; write action.lam=4.6:8:0.2")
    sys.argv[1:] = map(volumes_as_list, sys.argv[1:])
    run(task, "scan")


def task(cfg: "DictConfig") -> None:
    """Draw at every point of the config, and sum up."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from flowlat.config.compose import refuse_theory
    from flowlat.runs.launcher import require_one_process

    require_one_process()
    refuse_theory(HydraConfig.get().overrides.task)
    config: Any = OmegaConf.to_container(cfg, resolve=True)

    from flowlat.runs.cli import run_dir
    from flowlat.runs.folder.record import record_of
    from flowlat.scan.console import scan_report
    from flowlat.scan.run import scan

    summary = scan(config, run_dir(), record_of(cfg))
    print(scan_report(summary, run_dir()))


if __name__ == "__main__":
    main()
