"""Where results go: a JSON file with the machine that made them, and a table in the README."""

import json
import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import peak_gflops, processor

FOLDER = Path(__file__).parent


def save(name: str, rows: Sequence[dict[str, Any]], table: str, output: Path | None) -> Path:
    """Write the rows to ``output``; by default to results/, and the table into the README too."""
    where = environment()
    path = output or FOLDER / "results" / f"{name}_{'gpu' if where['gpu'] else 'cpu'}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"environment": where, "rows": list(rows)}, indent=1) + "\n")
    if output is None:
        caption = f"{where['gpu'] or where['processor']}, torch {where['torch']}, {where['date']}"
        fill(name, f"{caption}\n\n{table}")
    return path


def fill(name: str, text: str) -> None:
    """Put ``text`` between the README's marks of this name."""
    readme = FOLDER / "README.md"
    before, rest = readme.read_text().split(f"<!-- {name} -->")
    _, after = rest.split(f"<!-- /{name} -->")
    readme.write_text(f"{before}<!-- {name} -->\n{text}\n<!-- /{name} -->{after}")


def environment() -> dict[str, Any]:
    """The machine and the versions that a result belongs to."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "processor": processor(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "peak_gflops_one_thread": {
            str(dtype).removeprefix("torch."): peak_gflops(dtype)
            for dtype in (torch.float32, torch.float64)
        },
    }


def made(folder: Path) -> Path:
    """The folder, which is there now."""
    folder.mkdir(parents=True)
    return folder
