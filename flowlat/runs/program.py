"""The one door of programs: what is around the task of each. It imports nothing that takes long."""

import re
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec

from flowlat.runs.signals import obeying
from flowlat.utils.errors import USER_ERRORS, ConfigError, Interrupted

if TYPE_CHECKING:
    from omegaconf import DictConfig

Arguments = ParamSpec("Arguments")

#: what argparse says of what was typed, and what flowlat does
WORDS = {
    r"argument (.+?): invalid int value: '(.*)'": r"\1=\2: must be an integer",
    r"argument (.+?): invalid choice: '(.*)' \(choose from (.*)\)": r"\1=\2: must be \3",
    # of a type of our own, which says what it must be
    r"argument (.+?): (.*: must be .*)": r"\1=\2",
    r"argument (.+?): (.*)": r"\1: \2",
    r"the following arguments are required: (.*)": r"\1: has to be given",
    r"unrecognized arguments: (.*)": r"\1: no such option (see --help)",
}


class Parser(ArgumentParser):
    """Of ``python -m``: a bad option is a ConfigError, one line that names it and its value."""

    def error(self, message: str) -> NoReturn:
        for theirs, ours in WORDS.items():
            if found := re.fullmatch(theirs, message, re.DOTALL):
                message = found.expand(ours)
                break
        raise ConfigError(message)


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
