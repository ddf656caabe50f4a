"""A page as one HTML file that needs no other: no script, no style sheet, no image beside it."""

import base64
from collections.abc import Mapping, Sequence
from html import escape

from flowlat.report.page.blocks import Block, Listing, Page, Picture, Section, Table, Text

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 68rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; }
h2 { font-size: 1.25rem; margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
p.convention { color: #555; margin-top: 0.2rem; }
p.warning { border-left: 4px solid #D55E00; background: #fdf1ea; padding: 0.5rem 0.8rem; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: #555; padding-bottom: 0.3rem; }
th, td { text-align: left; padding: 0.2rem 1rem 0.2rem 0; border-bottom: 1px solid #e5e5e5; }
th { border-bottom: 2px solid #999; }
tr.marked td { background: #fdf1ea; font-weight: 600; }
figure { margin: 1.5rem 0; }
figcaption { color: #555; }
img { max-width: 100%; height: auto; }
pre { background: #f6f6f6; padding: 0.8rem; overflow-x: auto; font-size: 0.85rem; }
summary { cursor: pointer; }
"""


def render(page: Page, images: Mapping[str, bytes]) -> str:
    """The whole page, all text escaped; ``images`` holds the PNG of every picture by its name."""
    body = "\n".join(
        f"<section>\n<h2>{escape(section.title)}</h2>\n"
        + "\n".join(_block(block, images) for block in section.blocks)
        + "\n</section>"
        for section in page.sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(page.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<h1>{escape(page.title)}</h1>\n<p class="convention">{escape(page.subtitle)}</p>\n'
        f"{body}\n</body>\n</html>\n"
    )


def _block(block: Block, images: Mapping[str, bytes]) -> str:
    if isinstance(block, Text):
        kind = ' class="warning"' if block.warning else ""
        return f"<p{kind}>{escape(block.text)}</p>"
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Listing):
        return (
            f"<details><summary>{escape(block.title)}</summary>"
            f"<pre>{escape(block.text)}</pre></details>"
        )
    data = base64.b64encode(images[block.name]).decode()
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{escape(block.caption)}">'
        f"<figcaption>{escape(block.caption)}</figcaption></figure>"
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.head)
    rows = ""
    for number, row in enumerate(table.rows):
        kind = ' class="marked"' if number in table.marked else ""
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
        rows += f"<tr{kind}>{cells}</tr>\n"
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    return f'<div class="wide"><table>{caption}<tr>{head}</tr>\n{rows}</table></div>'


def pictures(sections: Sequence[Section]) -> list[Picture]:
    """Every picture of a page, in its order."""
    return [block for section in sections for block in section.blocks if isinstance(block, Picture)]
