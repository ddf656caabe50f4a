"""Small files, written whole or not at all."""

import json
import math
from pathlib import Path
from typing import Any


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write beside the target and rename; NaN and infinity become null, as JSON has neither."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(finite(content), indent=2) + "\n")
    partial.replace(path)


def finite(value: Any) -> Any:
    """The same data with None for every float that is not finite."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
