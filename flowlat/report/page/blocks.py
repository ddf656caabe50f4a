"""What a page is made of: sections of texts, tables and pictures, whatever they are written as."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure


class Text(NamedTuple):
    """A paragraph; a ``warning`` stands out. A long text, in a fixed font, is folded away under its
    ``title``."""

    text: str
    warning: bool = False
    title: str = ""


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


Block = Text | Table | Picture


class Section(NamedTuple):
    """Blocks under a heading."""

    title: str
    blocks: Sequence[Block]


class Page(NamedTuple):
    """Sections under a title and a line that says what theory or units they are in."""

    title: str
    subtitle: str
    sections: Sequence[Section]
