"""What Hydra says of an option that cannot be used, in one line with what to type instead."""

import re
from collections.abc import Sequence
from itertools import accumulate

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from flowlat.utils.formatting import typed

#: what the composition of a config may raise; a ValueError of an option such as arch=null
COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, ValueError)


def in_one_line(error: Exception, words: Sequence[str]) -> str:
    """One of ``COMPOSITION_ERRORS`` as a line that names the option.

    Args:
        words: what was typed, as the shell has divided it.
    """
    text = " ".join(str(error).split())
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override, text.partition("See https:")[0].strip(), words)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        known = ", ".join(error.options or ())
        return f"{group}={option}: no such option (known: {known})"
    if found := re.match("Could not override '(.*?)'", text):
        word = next((w for w in words if w.lstrip("+").startswith(f"{found[1]}=")), found[1])
        node = getattr(error.__cause__, "parent_node", None)
        known = ", ".join(map(str, node)) if isinstance(node, DictConfig) else ""
        return f"{word}: no such option" + (f" (known: {known})" if known else "")
    if found := re.match("Ambiguous value for argument '(.*?)' 1[.]", text):
        key, _, values = found[1].partition("=")
        return f"{found[1]}: several values are a sweep, which takes -m; a list is {key}=[{values}]"
    if found := re.match("Sweep parameters '(.*)' requires", text):
        return f"{found[1]}: several values are a sweep, which takes -m"
    return f"{' '.join(words)}: {text}"


def _unreadable(override: str, reason: str, words: Sequence[str]) -> str:
    """Of a word that is no option: what it lacks, quotes most of the time."""
    key, equals, value = override.partition("=")
    if not equals:
        return f"{override}: not KEY=VALUE"
    if value.startswith("~"):
        return f"{override}: ~ is not expanded within a word; {key}=$HOME{value[1:]} is"
    if key.startswith("-"):
        return f"{override}: options are typed without dashes, {override.lstrip('-')}"
    if value.count("[") > value.count("]") and override in words:
        rest = accumulate(words[words.index(override) :], "{} {}".format)
        whole = next((text for text in rest if text.count("[") == text.count("]")), None)
        if whole:
            return f"{override}: divided at a blank; '{whole}' is not"
        return f"{override}: a bracket is not closed"
    return f"{override}: {reason}; as it stands, {typed(key, value)}"
