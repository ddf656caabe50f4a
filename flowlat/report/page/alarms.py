"""What makes a run unfit for publication, at the head of its page."""

from collections.abc import Mapping
from typing import Any

from flowlat.analysis.trust import warnings
from flowlat.report.page.blocks import Text


def alarms(summary: Mapping[str, Any], whose: str = "") -> list[Text]:
    """The warnings of a run, each after its name if there are several runs on the page.

    A summary of an older flowlat, which has none, is judged anew.
    """
    found = summary["warnings"] if "warnings" in summary else warnings(summary)
    name = f"{whose}: " if whose else ""
    return [Text(f"{name}{warning['text']}", warning=True) for warning in found]
