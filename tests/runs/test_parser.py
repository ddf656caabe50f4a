"""Hydra's parser under an argparse that expands help when an option is added, as from 3.14 on."""

from argparse import ArgumentParser

import pytest
from hydra._internal.utils import get_args_parser

from flowlat.runs.parser import CHECK, late_help


@pytest.fixture
def expanding(monkeypatch):
    """What 3.14 has, on a Python that has it not."""

    def check_help(parser, action):
        try:
            if action.help and "%" in action.help:
                action.help % {**vars(action), "prog": parser.prog}
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError("badly formed help string") from error

    add_argument = ArgumentParser.add_argument

    def add(parser, *names, **options):
        action = add_argument(parser, *names, **options)
        getattr(parser, CHECK)(action)
        return action

    if not hasattr(ArgumentParser, CHECK):
        monkeypatch.setattr(ArgumentParser, CHECK, check_help, raising=False)
        monkeypatch.setattr(ArgumentParser, "add_argument", add)


def test_hydra_alone_cannot_make_its_parser(expanding):
    with pytest.raises(ValueError, match="badly formed"):
        get_args_parser()  # once it can, the guard may go


def test_its_parser_is_made_and_the_check_is_there_again(expanding):
    before = getattr(ArgumentParser, CHECK)
    with late_help():
        parsed = get_args_parser().parse_args(["seed=1,2", "--shell-completion"])
    assert (parsed.overrides, parsed.shell_completion) == (["seed=1,2"], True)
    assert getattr(ArgumentParser, CHECK) is before


def test_help_that_is_a_text_is_still_checked(expanding):
    with late_help(), pytest.raises(ValueError, match="badly formed"):
        ArgumentParser().add_argument("--option", help="%(nothing)s")


def test_nothing_changes_where_help_is_expanded_later():
    if hasattr(ArgumentParser, CHECK):
        pytest.skip("this Python expands it at once")
    with late_help():
        assert not hasattr(ArgumentParser, CHECK)
