"""Several lattices on the command line."""

import json


def volumes_as_list(argument: str) -> str:
    """``lattice.shape=[8,8],[12,12]`` as Hydra takes it without a multirun: one list of lists."""
    key, _, value = argument.partition("=")
    if key.lstrip("+") != "lattice.shape" or "],[" not in value.replace(" ", ""):
        return argument
    try:
        shapes = json.loads(f"[{value}]")
    except json.JSONDecodeError:
        return argument  # Hydra says what is wrong with it
    return f"{key}={json.dumps(shapes)}".replace(" ", "")
