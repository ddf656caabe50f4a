"""Draw an ensemble: flowlat-sample [OPTION=VALUE ...], or python sample.py; see --help."""

from typing import TYPE_CHECKING

from flowlat.runs.signals import obeying

if TYPE_CHECKING:
    from omegaconf import DictConfig


@obeying
def main() -> None:
    # here, not above: see flowlat/train.py
    from flowlat.runs.program import run

    run(task, "sample")


def task(cfg: "DictConfig") -> None:
    """Draw an ensemble as the config says."""
    from hydra.core.hydra_config import HydraConfig

    from flowlat.config.compose import refuse_theory, validate
    from flowlat.config.schemas import SampleConfig
    from flowlat.runs.launcher import require_one_process

    require_one_process()
    refuse_theory(HydraConfig.get().overrides.task)
    config = validate(cfg, SampleConfig)

    from flowlat.runs.cli import run_dir
    from flowlat.runs.console import sample_report
    from flowlat.runs.folder.record import record_of
    from flowlat.sampling.draw import draw

    summary = draw(config, run_dir(), record_of(cfg))
    print(sample_report(summary, run_dir()))


if __name__ == "__main__":
    main()
