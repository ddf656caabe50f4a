"""A page as one HTML file that needs no other: no script, no style sheet, no image beside it."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from flowlat.report.page.blocks import Page, Picture
from flowlat.report.page.plots import finish
from flowlat.utils.files import replacing


def render(page: Page, images: Mapping[str, str]) -> str:
    """The whole page, all text escaped; ``images``: the PNG of each picture by name, base64."""
    loader = PackageLoader("flowlat.report.page", ".")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("report.html.j2").render(page=page, images=images)


def write(page: Page, out: Path) -> Path:
    """Write report.html and the pictures, as PNG, into ``out``; the path of the former.

    Each is written whole or not at all, the page last.
    """
    out.mkdir(parents=True, exist_ok=True)
    images = {}
    for block in (block for section in page.sections for block in section.blocks):
        if isinstance(block, Picture):
            buffer = io.BytesIO()
            finish(block.figure).savefig(buffer, format="png", dpi=110)
            images[block.name] = base64.b64encode(buffer.getvalue()).decode()
            with replacing(out / f"{block.name}.png") as partial:
                partial.write_bytes(buffer.getvalue())
    path = out / "report.html"
    with replacing(path) as partial:
        partial.write_text(render(page, images), encoding="utf-8")
    return path
