"""The tables of a page, and its warnings, for a terminal."""

from collections.abc import Iterable

from flowlat.report.page.blocks import Section, Table, Text
from flowlat.runs.console import table


def as_text(sections: Iterable[Section]) -> str:
    """What can be read without the pictures; the rows that stand out on the page have a star."""
    parts = []
    for block in (block for section in sections for block in section.blocks):
        if isinstance(block, Table):
            parts.append(lines(block))
        elif isinstance(block, Text) and block.warning:
            parts.append(block.text)
    return "\n\n".join(parts)


def lines(block: Table) -> str:
    """The caption, the head, and the rows in columns; the first two where there are any."""
    head = [["  " + block.head[0], *block.head[1:]]] if any(block.head) else []
    rows = [
        [("* " if number in block.marked else "  ") + row[0], *row[1:]]
        for number, row in enumerate(block.rows)
    ]
    return "\n".join(filter(None, [block.caption, table([*head, *rows])]))
