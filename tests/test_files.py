import json
import math

import pytest

from flowlat.files import write_json


def test_json_has_no_nan(tmp_path):
    write_json(tmp_path / "a.json", {"x": [1.0, math.nan], "y": {"z": math.inf}, "n": 3})
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == {"x": [1.0, None], "y": {"z": None}, "n": 3}


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})
    with pytest.raises(TypeError):
        write_json(path, {"x": object()})
    assert json.loads(path.read_text()) == {"x": 1}
    assert list(tmp_path.iterdir()) == [path]
