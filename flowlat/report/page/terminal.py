"""The tables of a page, and its warnings, for a terminal."""

from collections.abc import Iterable

from flowlat.report.page.blocks import Section, Table, Text
from flowlat.utils.formatting import table


def as_text(sections: Iterable[Section]) -> str:
    """What can be read without the pictures; the rows that stand out on the page have a star."""
    parts = []
    for block in (block for section in sections for block in section.blocks):
        if isinstance(block, Table):
            rows = [["  " + block.head[0], *block.head[1:]]] if any(block.head) else []
            for number, (first, *rest) in enumerate(block.rows):
                rows.append([("* " if number in block.marked else "  ") + first, *rest])
            parts.append(f"{block.caption}\n{table(rows)}".lstrip("\n"))
        elif isinstance(block, Text) and block.warning:
            parts.append(block.text)
    return "\n\n".join(parts)
