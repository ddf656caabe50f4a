import json
import math

import pytest

from flowlat.utils import files
from flowlat.utils.files import replacing, write_json


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


@pytest.mark.parametrize("sync", [True, False])
def test_a_file_appears_whole_or_not_at_all(sync, tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path, sync) as partial:
        partial.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"

    def interrupted():
        with replacing(path, sync) as partial:
            partial.write_text("other")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "half"
    assert list(tmp_path.iterdir()) == [path]


def test_the_checksum_of_a_file(tmp_path, monkeypatch):
    """In pieces; of abc, as in FIPS 180-2."""
    monkeypatch.setattr(files, "BYTES", 2)
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223")
