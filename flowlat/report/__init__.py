"""Pictures and a page of what runs left behind: python -m flowlat.report RUN..."""

from flowlat.report.build import build
from flowlat.report.page.html import write
from flowlat.report.training.watch import watch

__all__ = ["build", "watch", "write"]
