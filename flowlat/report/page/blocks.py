"""What a page is made of: sections of texts, tables and pictures, whatever they are written as."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure


class Text(NamedTuple):
    """A paragraph; a ``warning`` stands out."""

    text: str
    warning: bool = False


class Table(NamedTuple):
    """Rows of cells under a head. A row of ``marked`` (its number) stands out."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    marked: frozenset[int] = frozenset()


class Picture(NamedTuple):
    """A figure, the stem of its file, and what it shows."""

    name: str
    figure: Figure
    caption: str


class Listing(NamedTuple):
    """A long text in a fixed font, folded away under its title."""

    title: str
    text: str


Block = Text | Table | Picture | Listing


class Section(NamedTuple):
    """Blocks under a heading."""

    title: str
    blocks: list[Block]


class Page(NamedTuple):
    """Sections under a title and a line that says what theory or units they are in."""

    title: str
    subtitle: str
    sections: list[Section]
