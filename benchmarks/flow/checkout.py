"""Two versions of flowlat in one process."""

import sys
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any


@contextmanager
def package(folder: Path | None) -> Any:
    """``get(module)`` of this flowlat, or of the one in another folder beside it."""
    if folder is None:
        yield import_module
        return
    ours = {name: sys.modules.pop(name) for name in list(sys.modules) if is_ours(name)}
    sys.path.insert(0, str(folder))
    try:
        yield import_module
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if is_ours(name)]:
            del sys.modules[name]
        sys.modules.update(ours)


def is_ours(name: str) -> bool:
    return name.split(".")[0] == "flowlat"
