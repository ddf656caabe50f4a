"""Hydra's parser of the command line on Python 3.14.

From 3.14 on argparse expands the help of an option when it is added, not when it is printed. That
of ``--shell-completion`` in Hydra 1.3 is made up when it is printed, and is no text until then:
https://github.com/facebookresearch/hydra/issues/3121
"""

from argparse import Action, ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: of ArgumentParser, where Python has it
CHECK = "_check_help"


@contextmanager
def late_help() -> Iterator[None]:
    """Within ``with``: help that is no text is not expanded when it is added; all other is.

    Nothing changes on a Python that does not expand it then.
    """
    check: Any = getattr(ArgumentParser, CHECK, None)
    if check is None:
        yield
        return

    def check_texts(parser: ArgumentParser, action: Action) -> None:
        if isinstance(action.help, str):
            check(parser, action)

    setattr(ArgumentParser, CHECK, check_texts)
    try:
        yield
    finally:
        setattr(ArgumentParser, CHECK, check)
