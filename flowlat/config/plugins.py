"""Packages of a user whose classes a file may name: installed ones that say so themselves."""

from functools import cache
from importlib.metadata import entry_points

#: the group of entry points in which a package declares that it extends flowlat
GROUP = "flowlat.plugins"


@cache
def plugins() -> tuple[str, ...]:
    """The modules and packages that installed distributions declare, sorted.

    In the ``pyproject.toml`` of the user::

        [project.entry-points."flowlat.plugins"]
        mylib = "mylib"

    To install it is to trust it: a checkpoint or an ensemble may then name what it defines, and
    nothing else outside flowlat. Nothing is imported to find out.
    """
    return tuple(sorted({point.value for point in entry_points(group=GROUP)}))
