"""Pictures and a page of what runs left behind: python -m flowlat.report RUN..."""

from flowlat.report.build import build, write
from flowlat.report.watch import watch

__all__ = ["build", "watch", "write"]
