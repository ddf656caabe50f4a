"""The programs of flowlat that Hydra composes: what is around the task of each."""

from collections.abc import Callable
from typing import Any

import hydra
from omegaconf import DictConfig

from flowlat.runs.cli import one_line_errors
from flowlat.runs.sweep import with_sweep_summary
from flowlat.utils.conf import conf_dir


def run(task: Callable[[DictConfig], Any], config_name: str) -> None:
    """Run the task on the config that the command line composes, or on each of a multirun."""
    composed = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)
    with_sweep_summary(composed(one_line_errors(task)))()
