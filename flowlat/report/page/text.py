"""The tables of a page, and its warnings, for a terminal."""

from collections.abc import Iterable

from flowlat.report.page.blocks import Section, Table, Text
from flowlat.runs.console import table


def as_text(sections: Iterable[Section]) -> str:
    """What can be read without the pictures; the rows that stand out on the page have a star."""
    blocks = [block for section in sections for block in section.blocks]
    return "\n\n".join(
        block.text if isinstance(block, Text) else lines(block)
        for block in blocks
        if isinstance(block, Table) or (isinstance(block, Text) and block.warning)
    )


def lines(block: Table) -> str:
    """The caption, the head, and the rows in columns; the first two where there are any."""
    marks = ["* " if number in block.marked else "  " for number in range(len(block.rows))]
    cells = [(mark + row[0], *row[1:]) for mark, row in zip(marks, block.rows, strict=True)]
    head = ("  " + block.head[0], *block.head[1:])
    columns = table([head, *cells] if any(block.head) else cells)
    return "\n".join(filter(None, [block.caption, columns]))
