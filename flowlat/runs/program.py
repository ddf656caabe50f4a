"""The one door of programs: what is around the task of each. It imports nothing that takes long."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

from flowlat.runs.signals import obeying
from flowlat.utils.errors import USER_ERRORS, Interrupted

if TYPE_CHECKING:
    from omegaconf import DictConfig

Arguments = ParamSpec("Arguments")


def run(task: "Callable[[DictConfig], Any]", config_name: str) -> None:
    """Run the task on the config that the command line composes, or on each of a multirun."""
    import hydra

    from flowlat.runs.cli import one_line_errors
    from flowlat.runs.sweep import with_sweep_summary
    from flowlat.utils.conf import conf_dir

    composed = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)
    with_sweep_summary(composed(one_line_errors(task)))()


def exit_code(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """Of ``python -m``: 2, with one line, on an error that the user can mend; on a signal, from the
    first import on, the shell's own code for it, with one line too."""

    @obeying
    @wraps(main)
    def wrapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> int:
        try:
            return main(*args, **kwargs)
        except Interrupted as error:  # of a sampling within
            print(error, file=sys.stderr)
            return 128 + error.number
        except (*USER_ERRORS, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2

    return wrapped
