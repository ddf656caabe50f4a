import errno
import os
import resource

import h5py
import numpy as np
import pytest

from flowlat.ensemble.file.hdf5 import attribute, create_dataset, creating, dataset, set_attribute


def test_what_is_written_comes_back(tmp_path):
    values = np.arange(30.0).reshape(10, 3)
    with creating(tmp_path / "a.h5") as file:
        for start in range(0, 10, 4):
            stop = min(10, start + 4)
            if start == 0:
                column = create_dataset(file, "group/values", values.shape, values.dtype)
            column[start:stop] = values[start:stop]
        for name, value in {"text": "λ φ^4", "n": 3, "x": 0.5, "yes": True, "j": {"a": 1}}.items():
            set_attribute(file, name, value)
        set_attribute(file, "none", None)
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(dataset(file, "group/values")[...], values)
        found = {name: attribute(file, name) for name in file.attrs}
    assert found == {"text": "λ φ^4", "n": 3, "x": 0.5, "yes": True, "j": '{"a": 1}'}


def test_chunks_hold_whole_rows_and_a_quarter_of_a_megabyte(tmp_path):
    with creating(tmp_path / "a.h5") as file:
        many = create_dataset(file, "many", (1_000_000, 2), np.dtype("f8"))
        large = create_dataset(file, "large", (3, 1000, 1000), np.dtype("f8"))
        assert many.chunks == (16130, 2)  # 62 of them, all full
        assert large.chunks == (1, 1000, 1000)


def test_a_disk_that_is_full_for_a_moment_is_not_forgotten(tmp_path, capfd):
    """HDF5 drops the errors of what it writes when a dataset is closed; we do not."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    text = os.strerror(errno.EFBIG)

    def write():
        with creating(tmp_path / "a.h5") as file:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
            try:
                create_dataset(file, "x", (1000,), np.dtype("f8"))[:] = 1.0
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
            create_dataset(file, "y", (10,), np.dtype("f8"))[:] = 1.0

    with pytest.raises(OSError, match=text):
        write()
    assert "Traceback" not in capfd.readouterr().err
